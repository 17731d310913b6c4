"""Where the node's configuration comes from, which source wins, and which mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from zosfsm.node import configuration
from zosfsm.node.configuration import Configuration, ConfigurationInvalid, Location, configure

TOLD = "runmode=dev farmer_id=2 bcdb=http://192.0.2.2"


def configured(
    file: Path | None = None, command_line: str = "", environment: dict[str, str] | None = None
) -> Configuration:
    return configure(file, None, None, command_line, environment or {})


def written(directory: Path, text: str) -> Path:
    file = directory / "zosfsm.toml"
    file.write_text(text)
    return file


def test_without_any_source_there_are_defaults_and_no_grid() -> None:
    assert configured() == Configuration()


def test_a_file_says_grid_farm_and_location(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'grid_url = "http://192.0.2.1:8080/"\nfarm_id = 1\n[location]\ncity = "Gent"\nlatitude = 51\nlongitude = 3.7\n',
    )
    found = configured(file)
    assert (found.grid_url, found.farm_id) == ("http://192.0.2.1:8080", 1)
    assert found.location == Location(city="Gent", latitude=51.0, longitude=3.7)


def test_the_command_line_outdoes_the_file_and_the_environment_both(tmp_path: Path) -> None:
    file = written(tmp_path, 'grid_url = "http://192.0.2.1"\nfarm_id = 1\n')
    assert configured(file, TOLD).grid_url == "http://192.0.2.2"
    assert configured(file, TOLD).farm_id == 2
    assert configured(file, TOLD, {"ZOS_BCDB_URL": "http://192.0.2.3"}).grid_url == "http://192.0.2.3"


def test_the_environment_names_the_grid_in_every_run_mode() -> None:
    assert configured(None, "runmode=prod", {"ZOS_BCDB_URL": "http://192.0.2.3"}).grid_url == "http://192.0.2.3"


def test_complaints_about_the_command_line_are_kept_for_the_status() -> None:
    assert len(configured(None, "runmode=no farmer_id=x").complaints) == 2


def test_without_a_command_line_given_the_kernels_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "cmdline"
    own.write_bytes(b"farmer_id=9 \xff\n")
    monkeypatch.setattr(configuration, "KERNEL_COMMAND_LINE", own)
    assert configure(None, None, None, None, {}).farm_id == 9


def test_a_kernel_command_line_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "KERNEL_COMMAND_LINE", tmp_path / "none")
    with pytest.raises(ConfigurationInvalid, match="give it with --cmdline"):
        configure(None, None, None, None, {})


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('farm_id = "12"', "farm_id"),
        ("farm_id = true", "farm_id"),
        ("farm_id = 1.5", "farm_id"),
        ("farm_id = -1", "farm_id"),
        ("farm_id = 9223372036854775808", "farm_id"),
        ("grid_url = 5", "grid_url"),
        ("grid = 'http://192.0.2.1'", "grid"),
        ("[location]\nlatitude = nan", "latitude"),
        ("[location]\nlatitude = true", "latitude"),
        ("[location]\nstreet = 'Main'", "street"),
        ("location = 3", "location"),
    ],
)
def test_a_file_with_a_wrong_value_is_refused_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=key):
        configured(written(tmp_path, text))


@pytest.mark.parametrize("content", [b"farm_id = ", b"\xff\xfe", b"a = " + b"[" * 100_000])
def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "zosfsm.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match="cannot be read as TOML"):
        configured(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="No such file"):
        configured(tmp_path / "none.toml")


@pytest.mark.parametrize("url", ["grid", "ftp://a", "http://[::1", "http://a:b"])
def test_a_grid_address_in_the_environment_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="the grid's address is a URL"):
        configured(None, "", {"ZOS_BCDB_URL": url})
