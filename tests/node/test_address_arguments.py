"""ip= and nameserver=, in every form of dracut.cmdline(7): which plan follows, and what is told where none can."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.lifecycles.lease_terms import Lease, unusable_static
from zosfsm.lifecycles.uplink_policy import BOTH_FAMILIES, AddressPlan, Family
from zosfsm.node.address_arguments import STATIC_SINCE, address_plans

BOTH, IPV4, IPV6 = BOTH_FAMILIES, (Family.IPV4,), (Family.IPV6,)
BY_HAND = "192.0.2.7::192.0.2.1:24::eth0:none"
PIECES = [
    *("dhcp", "none", "off", "auto6", "ibft", "eth0", "eth1", ":", "::", "[", "]", "/", "24", "33", "192.0.2.7"),
    *("192.0.2.1", "255.255.255.0", "0.0.0.255", "2001:db8::7", "02:00:00:00:00:01", "1400", "٣", "\0", " ", ""),
]


def planned(*words: str, servers: tuple[str, ...] = (), wanted: tuple[str, ...] = ()) -> tuple[AddressPlan, ...]:
    """The plans of words in which nothing is wrong."""
    plans, complaints = told(*words, servers=servers, wanted=wanted)
    assert complaints == []
    return plans


def told(
    *words: str, servers: tuple[str, ...] = (), wanted: tuple[str, ...] = ()
) -> tuple[tuple[AddressPlan, ...], list[str]]:
    complaints: list[str] = []
    return address_plans(list(words), list(servers), wanted, complaints), complaints


def by_hand(
    address: str = "192.0.2.7/24", router: str | None = "192.0.2.1", *servers: str, mtu: int | None = None
) -> Lease:
    return Lease(
        address=IPv4Interface(address),
        server=None,
        router=IPv4Address(router) if router else None,
        routes=(),
        name_servers=tuple(map(IPv4Address, servers)),
        domain="",
        mtu=mtu,
        obtained=STATIC_SINCE,
        renewal=None,
        rebinding=None,
        expiry=None,
    )


def test_without_a_word_there_is_no_plan() -> None:
    assert planned() == ()


@pytest.mark.parametrize("method", ["dhcp", "on", "any", "single-dhcp"])
def test_dhcp_is_both_families(method: str) -> None:
    assert planned(method) == (AddressPlan("", BOTH),)
    assert planned(f"eth1:{method}") == (AddressPlan("eth1", BOTH),)
    assert planned(f":::::eth1:{method}") == (AddressPlan("eth1", BOTH),)


@pytest.mark.parametrize("method", ["dhcp6", "auto6", "either6"])
def test_what_asks_for_ipv6_is_ipv6_alone(method: str) -> None:
    assert planned(method) == (AddressPlan("", IPV6),)
    assert planned(f"eth1:{method}") == (AddressPlan("eth1", IPV6),)


@pytest.mark.parametrize("method", ["none", "off"])
def test_a_nic_that_is_off_is_not_used(method: str) -> None:
    assert planned(f"eth1:{method}") == (AddressPlan("eth1", ()),)
    assert planned("eth0:dhcp", method) == (AddressPlan("eth0", BOTH), AddressPlan("", ()))


@pytest.mark.parametrize("words", [("off",), ("none", "eth1:off")])
def test_a_node_is_not_left_without_any_nic(words: tuple[str, ...]) -> None:
    plans, complaints = told(*words)
    assert all(plan.nic for plan in plans)
    assert complaints == ["ip=off leaves the node no NIC; it is ignored, and NICs that no other ip= names use DHCP"]


@pytest.mark.parametrize(
    "word",
    [
        BY_HAND,
        "192.0.2.7::192.0.2.1:255.255.255.0::eth0:off",
        "192.0.2.7/24::192.0.2.1:::eth0:static",
        "192.0.2.7::192.0.2.1:24:box.example:eth0",
        "192.0.2.7::192.0.2.1:24::eth0:none::",
    ],
)
def test_an_address_that_is_given_by_hand_is_a_lease_without_server_and_end(word: str) -> None:
    (plan,) = planned(word)
    assert plan == AddressPlan("eth0", IPV4, by_hand())
    assert plan.static is not None
    assert unusable_static(plan.static) == ""


def test_an_address_without_a_nic_goes_to_the_preferred_one_or_to_all() -> None:
    assert planned("192.0.2.7::192.0.2.1:24:::none", wanted=("eth3",))[0].nic == "eth3"
    assert planned("192.0.2.7::192.0.2.1:24:::none")[0].nic == ""


def test_an_address_without_a_gateway_is_one() -> None:
    assert planned("192.0.2.7:::24::eth0:none") == (AddressPlan("eth0", IPV4, by_hand(router=None)),)


@pytest.mark.parametrize(
    ("surplus", "expected"),
    [
        ("1400", by_hand(mtu=1400)),
        ("192.0.2.53", by_hand("192.0.2.7/24", "192.0.2.1", "192.0.2.53")),
        ("192.0.2.53:192.0.2.54", by_hand("192.0.2.7/24", "192.0.2.1", "192.0.2.53", "192.0.2.54")),
    ],
)
def test_an_mtu_or_name_servers_may_follow(surplus: str, expected: Lease) -> None:
    assert planned(f"{BY_HAND}:{surplus}")[0].static == expected


def test_name_servers_of_their_own_word_come_after_those_of_the_address() -> None:
    (plan,) = planned(f"{BY_HAND}:192.0.2.53", servers=("192.0.2.54", "192.0.2.53"))
    assert plan.static is not None
    assert [str(server) for server in plan.static.name_servers] == ["192.0.2.53", "192.0.2.54"]


def test_name_servers_without_an_address_given_by_hand_are_not_heeded() -> None:
    assert told("dhcp", servers=("192.0.2.53",))[1] == [
        "nameserver= is heeded together with an address given by ip=, found none; "
        "the name servers of DHCP and of router advertisements are used"
    ]


def test_a_nic_may_have_one_word_for_each_family() -> None:
    assert planned(BY_HAND, "eth0:auto6") == (AddressPlan("eth0", BOTH, by_hand()),)
    assert planned("eth0:auto6", BY_HAND) == (AddressPlan("eth0", BOTH, by_hand()),)
    assert planned("eth0:auto6", "eth0:dhcp", "eth0:dhcp") == (AddressPlan("eth0", BOTH),)


@pytest.mark.parametrize("second", ["eth0:dhcp", "eth0:off", "192.0.2.8::192.0.2.1:24::eth0:none"])
def test_of_two_words_that_contradict_each_other_the_first_is_followed(second: str) -> None:
    plans, complaints = told(BY_HAND, second)
    assert plans == (AddressPlan("eth0", IPV4, by_hand()),)
    assert complaints == [f"ip={second}: an earlier ip= is about eth0 too; the earlier one is followed"]


def test_several_nics_have_a_plan_each() -> None:
    assert planned(BY_HAND, "eth1:dhcp", "02-00-00-00-00-02:auto6") == (
        AddressPlan("eth0", IPV4, by_hand()),
        AddressPlan("eth1", BOTH),
        AddressPlan("02:00:00:00:00:02", IPV6),
    )


def test_an_ipv6_address_given_by_hand_is_refused_and_the_nic_tried_by_dhcp_and_slaac() -> None:
    plans, complaints = told("[2001:db8::7]::[2001:db8::1]:64::eth0:none")
    assert plans == (AddressPlan("eth0", BOTH),)
    assert complaints == [
        "ip=[2001:db8::7]::[2001:db8::1]:64::eth0:none: an IPv6 address cannot be given by hand; "
        "the NIC is tried by DHCP and SLAAC"
    ]


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("ibft", "the iBFT is not read; DHCP is used instead"),
        ("eth0:link-local", "link-local addresses lead to no grid; DHCP is used instead"),
        ("eth0:dhcp::02:00:00:00:00:01", "a NIC's MAC address is not changed; it is ignored"),
        ("eth0:dhcp:1400", "MTU and name servers are heeded with an address given by hand only"),
        ("192.0.2.7::192.0.2.1:24::eth0:dhcp", "dhcp gives address and gateway; the others are ignored"),
        ("192.0.2.7::192.0.2.1:::eth0:none", "expected a netmask or the length of the prefix, found none"),
        ("192.0.2.7::192.0.2.1:33::eth0:none", "expected a netmask or the length of a prefix, found '33'"),
        ("192.0.2.7::192.0.2.1:4::eth0:none", "expected a netmask of /8 to /32, found '4'"),
        ("192.0.2.7::192.0.2.1:0.0.0.255::eth0:none", "expected a netmask of /8 to /32, found '0.0.0.255'"),
        ("192.0.2.300::192.0.2.1:24::eth0:none", "expected an IPv4 address, found '192.0.2.300'"),
        ("127.0.0.1::127.0.0.2:8::eth0:none", "its address 127.0.0.1 is a loopback address; DHCP is used instead"),
        ("192.0.2.0::192.0.2.1:24::eth0:none", "its address 192.0.2.0/24 is the network's own"),
        ("192.0.2.7::192.0.3.1:24::eth0:none", "expected a gateway in 192.0.2.0/24 beside 192.0.2.7, found 192.0.3.1"),
        ("192.0.2.7::192.0.2.7:24::eth0:none", "expected a gateway in 192.0.2.0/24 beside 192.0.2.7"),
        ("192.0.2.7::router:24::eth0:none", "expected the gateway's IPv4 address, found 'router'"),
    ],
)
def test_what_cannot_be_followed_is_told_and_dhcp_used(word: str, complaint: str) -> None:
    plans, complaints = told(word)
    assert plans == (AddressPlan("eth0" if "eth0" in word else "", BOTH),)
    (found,) = complaints
    assert found.startswith(f"ip={word}: ")
    assert complaint in found


@pytest.mark.parametrize(
    ("surplus", "complaint"),
    [
        ("99", "expected an MTU from 576 to 65535, found '99'; it is ignored"),
        ("1400:1500", "expected an MTU from 576 to 65535, found '1400:1500'; it is ignored"),
        ("1400:02:00:00:00:00:01", "a NIC's MAC address is not changed; it is ignored"),
        (":02:00:00:00:00:01", "a NIC's MAC address is not changed; it is ignored"),
        ("dns", "a name server is an IPv4 address, found 'dns'; it is ignored"),
        ("[2001:db8::53]", "found an IPv6 address, which goes with no IPv4 one; it is ignored"),
        ("224.0.0.1", "is the address of a host, found 224.0.0.1, a multicast address; it is ignored"),
    ],
)
def test_what_is_wrong_beside_the_address_is_told_and_the_address_used(surplus: str, complaint: str) -> None:
    plans, complaints = told(f"{BY_HAND}:{surplus}")
    assert plans[0].static is not None
    assert plans[0].static.address == IPv4Interface("192.0.2.7/24")
    assert len(complaints) == 1
    assert complaint in complaints[0]


def test_a_peer_is_told_and_ignored() -> None:
    plans, complaints = told("192.0.2.7:192.0.2.9:192.0.2.1:24::eth0:none")
    assert plans == (AddressPlan("eth0", IPV4, by_hand()),)
    assert complaints[0].endswith(": a peer (point-to-point) is not supported; it is ignored")


@pytest.mark.parametrize("word", ["", "dchp", "eth0:dchp", "192.0.2.7", "a:b:c", ":".join("x" * 30)])
def test_a_word_that_is_of_no_form_is_told_and_ignored(word: str) -> None:
    plans, complaints = told(word)
    assert plans == ()
    assert "ip= is dhcp, NIC:dhcp or ADDRESS::GATEWAY:PREFIX::NIC:none" in complaints[0]


@pytest.mark.parametrize("nic", ["a/b", "a-name-too-long-for-a-link", "eth 0"])
def test_a_nic_that_cannot_be_one_is_told_and_the_word_ignored(nic: str) -> None:
    plans, complaints = told(f"{nic}:dhcp")
    assert plans == ()
    assert "expected the name of a NIC" in complaints[0]


@given(
    st.lists(st.lists(st.sampled_from(PIECES)).map("".join) | st.text(), max_size=4), st.lists(st.text(), max_size=3)
)
def test_whatever_is_written_each_nic_has_one_plan_that_can_be_followed(words: list[str], servers: list[str]) -> None:
    plans, complaints = told(*words, servers=tuple(servers))
    assert len({plan.nic for plan in plans}) == len(plans) <= len(words)
    assert "" not in {plan.nic for plan in plans} or any(plan.families for plan in plans)
    assert all(unusable_static(plan.static) == "" for plan in plans if plan.static)
    assert all(Family.IPV4 in plan.families for plan in plans if plan.static)
    assert all(len(complaint) < 400 for complaint in complaints)
