"""Where the node's configuration comes from, which source wins, and which mistakes are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from zosfsm.lifecycles.uplink_policy import AddressPlan, Family, UplinkPolicy
from zosfsm.node import configuration
from zosfsm.node.command_line import PublicMac
from zosfsm.node.configuration import Configuration, ConfigurationInvalid, Limits, Location, configure
from zosfsm.node.crash_switch import CrashPoint

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


def test_a_file_says_what_one_user_may_have(tmp_path: Path) -> None:
    assert configured().limits == Limits(networks_per_user=100, peers_per_user=5000)
    file = written(tmp_path, "[limits]\nnetworks_per_user = 3\npeers_per_user = 0\n")
    assert configured(file).limits == Limits(networks_per_user=3, peers_per_user=0)


def test_the_command_line_outdoes_the_file_and_the_environment_both(tmp_path: Path) -> None:
    file = written(tmp_path, 'grid_url = "http://192.0.2.1"\nfarm_id = 1\n')
    assert configured(file, TOLD).grid_url == "http://192.0.2.2"
    assert configured(file, TOLD).farm_id == 2
    assert configured(file, TOLD, {"ZOS_BCDB_URL": "http://192.0.2.3"}).grid_url == "http://192.0.2.3"


def test_the_environment_names_the_grid_in_every_run_mode() -> None:
    assert configured(None, "runmode=prod", {"ZOS_BCDB_URL": "http://192.0.2.3"}).grid_url == "http://192.0.2.3"


UPLINK = """[uplink]
prefer = ["eth1", "02-00-00-00-00-0A"]
exclude = ["eth3"]
vlan = 100
quiet = "90 s"
recheck = "5 s"
endpoints = ["https://example.org", "tcp://192.0.2.1:53"]
quorum = 2
"""


def test_a_file_says_how_the_way_out_is_found(tmp_path: Path) -> None:
    found = configured(written(tmp_path, UPLINK))
    assert found.policy == UplinkPolicy(
        preferred=("eth1", "02:00:00:00:00:0a"),
        excluded=("eth3",),
        vlan=100,
        quiet=timedelta(seconds=90),
        recheck=timedelta(seconds=5),
    )
    assert found.endpoints == ("https://example.org", "tcp://192.0.2.1:53")
    assert found.quorum == 2


def test_the_nics_of_the_command_line_come_before_those_of_the_file(tmp_path: Path) -> None:
    told = "nic:prefer=eth2,eth3 nic:exclude=eth1 vlan:priv=7 ip=eth2:auto6"
    policy = configured(written(tmp_path, UPLINK), told).policy
    assert policy.preferred == ("eth2", "02:00:00:00:00:0a")
    assert policy.excluded == ("eth1", "eth3")
    assert policy.vlan == 7
    assert policy.plans == (AddressPlan("eth2", (Family.IPV6,)),)


def test_the_command_line_can_take_the_files_vlan_away(tmp_path: Path) -> None:
    assert configured(written(tmp_path, UPLINK), "vlan:priv=none").policy.vlan is None
    assert configured(written(tmp_path, UPLINK), "vlan:priv=4095").policy.vlan == 100


def test_what_is_said_of_the_public_interface_is_kept() -> None:
    found = configured(None, "vlan:pub=20 pub:mac=swap")
    assert (found.public_vlan, found.public_mac) == (20, PublicMac.SWAP)


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
        ("[uplink]\nprefer = 'eth0'", "expected a list of texts, found 'eth0' @ .*prefer"),
        ("[uplink]\nprefer = ['a/b']", "uplink.prefer and uplink.exclude are names or MAC addresses of NICs"),
        ("[uplink]\nexclude = [1]", "exclude"),
        ("[uplink]\nvlan = 4095", "uplink.vlan is a VLAN from 1 to 4094, found 4095"),
        ("[uplink]\nvlan = 0", "uplink.vlan"),
        ("[uplink]\nvlan = true", "vlan"),
        ("[uplink]\nquiet = 10", 'expected a duration such as "10 min", found 10 @ .*quiet'),
        ("[uplink]\nrecheck = '10 ms'", "uplink.recheck is 1 s or more, found 0.01 s"),
        ("[uplink]\nquiet = 'soon'", "expected a duration .*found 'soon' @ .*quiet"),
        ("[uplink]\nrecheck = '0 s'", "expected a duration above nothing .*found '0 s' @ .*recheck"),
        ("[uplink]\nendpoints = ['example.org']", "uplink.endpoints are URLs"),
        ("[limits]\nnetworks_per_user = -1", "limits.networks_per_user is a whole number from 0 on"),
        ("[limits]\npeers_per_user = true", "expected int, found True"),
        ("[limits]\nnetworks_a_user = 3", "networks_a_user"),
        ("[uplink]\nquorum = 0", "uplink.quorum is from 1 to 1"),
        ("[uplink]\nendpoints = ['https://a']\nquorum = 3", "uplink.quorum is from 1 to 2"),
        ("[uplink]\nnic = 'eth0'", "nic"),
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


def test_the_environment_can_ask_for_a_crash_and_a_place_that_is_none_is_refused() -> None:
    assert configured().crash is None
    assert configured(None, "", {"ZOSFSM_CRASH": "after MakeLinks 2"}).crash == CrashPoint("after", "MakeLinks", 2)
    with pytest.raises(ConfigurationInvalid, match="expected ZOSFSM_CRASH as"):
        configured(None, "", {"ZOSFSM_CRASH": "MakeLinks"})
