"""`zosfsm mesh access`: what a laptop or a telephone is given."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import segno

from tests.cli.mesh_server import NODES, PUBLIC, Grid, mesh, serving, settle_in, state, write_request
from zosfsm.cli.errors import CommandFailed
from zosfsm.cli.mesh_drawing import draw_code


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def file(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a network that was applied, with one access."""
    path = settle_in(tmp_path, monkeypatch)
    write_request(path, NODES, f'[[access]]\nname = "laptop"\nthrough = "{PUBLIC.identifier}"\n')
    assert mesh("apply", path, "--grid", grid.url, "--wait", "0") == 0
    return path


def private_key(file: Path) -> str:
    return str(state(file)["access"][0]["private_key"])


def test_the_configuration_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert mesh("access", file, "laptop") == 0
    shown = capsys.readouterr()
    assert f"PrivateKey = {private_key(file)}" in shown.out
    assert "Endpoint = 203.0.113.5:" in shown.out
    assert shown.err == ""


def test_an_access_that_was_not_applied_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mesh("access", file, "tablet") == 3
    assert "'tablet' that was applied, found none" in capsys.readouterr().err
    write_request(file, NODES)
    assert mesh("access", file, "laptop") == 3
    assert mesh("access", file.with_name("other.toml"), "laptop") == 3


def test_the_file_is_for_its_owner_only_and_replaces_one_that_was_not(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    out = tmp_path / "office.conf"
    out.write_text("old")
    out.chmod(0o644)
    assert mesh("access", file, "laptop", "--out", out) == 0
    assert capsys.readouterr().out == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert f"PrivateKey = {private_key(file)}" in out.read_text()
    assert mesh("access", file, "laptop", "--out", tmp_path / "nowhere" / "a.conf") == 1
    assert "expected to write" in capsys.readouterr().err


def test_the_code_in_the_terminal_holds_the_configuration_without_its_comments(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "office.conf"
    assert mesh("access", file, "laptop", "--out", out) == 0
    capsys.readouterr()
    assert mesh("access", file, "laptop", "--qr") == 0
    drawn = capsys.readouterr().out
    assert private_key(file) not in drawn
    content = "\n".join(line for line in out.read_text().splitlines() if line and not line.startswith("#"))
    expected = segno.make_qr(content, error="L", boost_error=False)
    rows = [[not dark for dark in row] for row in expected.matrix_iter(border=4)]
    assert lit(drawn)[: len(rows)] == rows


def lit(drawn: str) -> list[list[bool]]:
    """The modules of a code, True where the terminal is lit: each character is two of them, one above the other."""
    rows = []
    for line in drawn.splitlines():
        rows.append([character in "█▀" for character in line])
        rows.append([character in "█▄" for character in line])
    return rows


def test_on_a_terminal_the_code_brings_its_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_code("x")
    plain = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    draw_code("x")
    assert capsys.readouterr().out.splitlines() == [f"\x1b[97;40m{line}\x1b[0m" for line in plain.splitlines()]


def test_what_does_not_fit_into_a_code_is_refused_in_one_sentence() -> None:
    with pytest.raises(CommandFailed, match="use --out FILE"):
        draw_code("AllowedIPs = " + "10.1.0.0/16, " * 300)
