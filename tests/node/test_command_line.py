"""The kernel command line: whatever is on it, the node starts, and says what it could not use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.kernel.vlan import LARGEST_VLAN
from zosfsm.lifecycles.uplink_policy import AddressPlan, Family
from zosfsm.node.command_line import LARGEST_FARM_ID, UNTAGGED, CommandLine, PublicMac, RunMode, parse
from zosfsm.node.endpoint_urls import is_endpoint_url, is_grid_url

WORDS = st.sampled_from(
    [
        "runmode=",
        "farmer_id=",
        "bcdb=",
        "zos-debug",
        "nic:prefer=",
        "nic:exclude=",
        "bootdev=",
        "BOOTIF=",
        "vlan:priv=",
        "pub:mac=",
        "ip=",
        "nameserver=",
        "eth0",
        "eth1",
        ",",
        "dev",
        "http://",
        "[",
        "]",
        ":",
        '"',
        "'",
        "\\",
        " ",
        "7",
        "=",
        "\0",
    ]
)


def test_everything_that_a_farmer_writes_is_read() -> None:
    told = parse("quiet runmode=dev farmer_id=12 bcdb=http://192.0.2.1:8080 zos-debug console=ttyS0")
    assert told == CommandLine(RunMode.DEVELOPMENT, 12, "http://192.0.2.1:8080", True)


def test_everything_that_concerns_the_way_out_is_read() -> None:
    told = parse(
        "vlan:priv=100 vlan:pub=200 pub:mac=swap ip=eth1:auto6 nic:prefer=eth1 nic:exclude=eth2,02:00:00:00:00:AA"
    )
    assert told == CommandLine(
        preferred=("eth1",),
        excluded=("eth2", "02:00:00:00:00:aa"),
        vlan=100,
        plans=(AddressPlan("eth1", (Family.IPV6,)),),
        public_vlan=200,
        public_mac=PublicMac.SWAP,
    )


def test_an_empty_command_line_is_a_production_node_without_a_farm() -> None:
    assert parse("") == CommandLine()


def test_the_first_value_given_wins() -> None:
    told = parse("runmode=test runmode=dev farmer_id=3 farmer_id=4")
    assert (told.run_mode, told.farm_id) == (RunMode.TEST, 3)


def test_values_may_be_quoted_as_in_a_shell() -> None:
    assert parse("'runmode=dev' farmer_id=\"5\"").farm_id == 5


def test_a_quotation_mark_without_partner_is_told_and_the_rest_is_read() -> None:
    told = parse("farmer_id=6 title='it")
    assert told.farm_id == 6
    assert "quotation mark" in told.complaints[0]


def test_an_unknown_runmode_is_production_and_is_told() -> None:
    told = parse("runmode=staging")
    assert told.run_mode is RunMode.PRODUCTION
    assert told.complaints == ("runmode= is dev, test or prod, found 'staging'; the node runs as prod",)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0x10", "seven", "٣", "9" * 19, "1" * 4000])
def test_a_farm_id_that_is_no_whole_number_of_63_bits_is_told_and_the_node_has_no_farm(text: str) -> None:
    told = parse(f"farmer_id={text}")
    assert told.farm_id == 0
    assert len(told.complaints) == 1
    assert len(told.complaints[0]) < 160


def test_the_largest_farm_id_is_one() -> None:
    assert parse(f"farmer_id={LARGEST_FARM_ID}").farm_id == LARGEST_FARM_ID


@pytest.mark.parametrize("mode", ["test", "prod"])
def test_a_grid_is_named_in_development_only(mode: str) -> None:
    told = parse(f"runmode={mode} bcdb=http://192.0.2.1")
    assert told.grid_url == ""
    assert "runmode=dev only" in told.complaints[0]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://192.0.2.1",
        "192.0.2.1:8080",
        "http://",
        "http://[::1",
        "http://a:99999",
        "http://a:b",
        "http://a:0",
        "http://user@a",
        "http://a?b",
        "http://a#b",
        "http://ä",
    ],
)
def test_a_grid_at_an_impossible_address_is_told_and_ignored(url: str) -> None:
    told = parse(f"runmode=dev bcdb={url}")
    assert told.grid_url == ""
    assert "bcdb= is a URL" in told.complaints[0]


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1", "https://grid.example/", "http://[2001:db8::1]:8080", "http://a:80/b"]
)
def test_http_addresses_are_grid_addresses(url: str) -> None:
    assert is_grid_url(url)


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://example.org/", True),
        ("http://example.org/generate_204?x=1", True),
        ("tcp://192.0.2.1:53", True),
        ("tcp://[2001:db8::1]:53", True),
        ("tcp://192.0.2.1", False),
        ("tcp://192.0.2.1:53/path", False),
        ("udp://192.0.2.1:53", False),
        ("https://user:secret@example.org", False),
        ("https://", False),
        ("https://example.org/" + "a" * 2048, False),
    ],
)
def test_what_can_be_asked_is_an_endpoint(url: str, is_one: bool) -> None:
    assert is_endpoint_url(url) is is_one


def test_preference_is_what_is_asked_for_then_the_boot_device_then_the_nic_of_pxe() -> None:
    told = parse("BOOTIF=01-02-00-5E-10-00-01 bootdev=eth2 nic:prefer=eth3,eth1 nic:prefer=eth0 bootdev=eth9")
    assert told.preferred == ("eth3", "eth1", "eth0", "eth2", "02:00:5e:10:00:01")
    assert told.complaints == ()


@pytest.mark.parametrize("text", ["02-00-5e-10-00-01", "02:00:5E:10:00:01", "01:02:00:5e:10:00:01"])
def test_bootif_may_leave_the_hardware_type_out_or_have_colons(text: str) -> None:
    assert parse(f"BOOTIF={text}").preferred == ("02:00:5e:10:00:01",)


@pytest.mark.parametrize("text", ["", "eth0", "20-02-00-5e-10-00-01", "01-02-00-5e-10-00", "01-01-00-5e-10-00-01"])
def test_a_bootif_that_is_no_mac_is_told_and_ignored(text: str) -> None:
    told = parse(f"BOOTIF={text}")
    assert told.preferred == ()
    assert told.complaints == (f"BOOTIF= is a MAC address such as 01-02-00-5e-10-00-01, found {text!r}; it is ignored",)


def test_a_boot_device_that_can_be_none_is_told_and_ignored() -> None:
    told = parse("bootdev=a/b")
    assert told.preferred == ()
    assert told.complaints == ("bootdev= is the name or MAC address of a NIC, found 'a/b'; it is ignored",)


def test_a_nic_that_is_preferred_and_excluded_is_excluded() -> None:
    told = parse("nic:prefer=eth0,eth1 nic:exclude=eth1")
    assert (told.preferred, told.excluded) == (("eth0",), ("eth1",))
    assert told.complaints == ("nic:prefer= and nic:exclude= both name eth1; it is excluded",)


def test_what_names_no_nic_is_told_once_a_word_and_the_rest_is_read() -> None:
    told = parse("nic:exclude=eth1,,a/b,eth2")
    assert told.excluded == ("eth1", "eth2")
    assert told.complaints == (
        "nic:exclude= is names or MAC addresses of NICs with commas between them, found '' and 1 more; "
        "what is neither is ignored",
    )


def test_an_address_without_a_nic_goes_to_the_preferred_one() -> None:
    assert parse("ip=192.0.2.7::192.0.2.1:24:::none bootdev=eth1").plans[0].nic == "eth1"


@pytest.mark.parametrize("text", ["none", "untagged", "un"])
def test_a_vlan_may_be_told_not_to_be(text: str) -> None:
    told = parse(f"vlan:priv={text} vlan:pub={text}")
    assert (told.vlan, told.public_vlan, told.complaints) == (UNTAGGED, UNTAGGED, ())


@pytest.mark.parametrize("word", ["vlan:priv", "vlan:pub"])
@pytest.mark.parametrize("text", ["", "0", "4095", "-1", "1.5", "0x10", "٣", "9" * 4000])
def test_a_vlan_that_is_none_is_told_and_ignored(word: str, text: str) -> None:
    told = parse(f"{word}={text}")
    assert (told.vlan, told.public_vlan) == (None, None)
    assert told.complaints == (f"{word}= is a VLAN from 1 to 4094, found {text[:40]!r}; it is ignored",)


def test_a_public_mac_of_another_origin_is_random_and_is_told() -> None:
    told = parse("pub:mac=02:00:00:00:00:01")
    assert told.public_mac is PublicMac.RANDOM
    assert told.complaints == ("pub:mac= is random or swap, found '02:00:00:00:00:01'; it is random",)


@given(st.one_of(st.text(), st.lists(WORDS).map("".join)))
def test_no_command_line_keeps_the_node_from_starting(text: str) -> None:
    told = parse(text)
    assert 0 <= told.farm_id <= LARGEST_FARM_ID
    assert told.grid_url == "" or is_grid_url(told.grid_url)
    assert told.vlan is None or UNTAGGED <= told.vlan <= LARGEST_VLAN
    assert not set(told.preferred) & set(told.excluded)
    assert all(len(complaint) < 400 for complaint in told.complaints)
