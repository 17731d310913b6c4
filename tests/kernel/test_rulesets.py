"""What the texts say, and that nft takes them and lists them as written; what they let pass is tested elsewhere."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest

from zosfsm.kernel import firewall, rulesets


def _resource() -> str:
    return rulesets.resource(
        lan="n-abc",
        tunnel="w-abc",
        subnet=IPv4Network("10.1.2.0/24"),
        ula=IPv6Network("fd12:3456:789a:1::/64"),
        network_range=IPv4Network("10.1.0.0/16"),
    )


def test_every_ruleset_is_one_table_of_ours() -> None:
    for text in (rulesets.host(), rulesets.dmz(), _resource()):
        assert text.startswith("table inet zosfsm {\n")
        assert text.count("\ntable ") == 0


def test_the_farmers_network_is_forbidden_to_the_dmz() -> None:
    text = rulesets.dmz((IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/64")))
    assert "192.0.2.0/24" in text
    assert "2001:db8::/64" in text


def test_a_farmers_network_inside_a_private_block_is_not_listed_twice() -> None:
    assert rulesets.dmz((IPv4Network("192.168.1.0/24"),)) == rulesets.dmz()


def test_what_a_translator_would_turn_into_a_private_address_is_no_internet() -> None:
    for address in ("64:ff9b::a00:1", "64:ff9b::c0a8:101", "64:ff9b::6440:1", "64:ff9b:1::1", "::ffff:10.0.0.1"):
        assert any(IPv6Address(address) in network for network in rulesets.NOT_INTERNET_IPV6)
    for address in ("64:ff9b::808:808", "2001:db8::1", "2600::1"):
        assert not any(IPv6Address(address) in network for network in rulesets.NOT_INTERNET_IPV6)


def test_what_6to4_would_send_to_a_private_address_is_no_internet() -> None:
    for address in ("2002:a00:1::1", "2002:c0a8:101::1", "2002:6440:1::", "2002:7f00:1::"):
        assert any(IPv6Address(address) in network for network in rulesets.NOT_INTERNET_IPV6)
    assert not any(IPv6Address("2002:808:808::1") in network for network in rulesets.NOT_INTERNET_IPV6)


def test_nobody_is_to_send_a_redirect_or_ask_for_the_time() -> None:
    for text in (rulesets.host(), rulesets.dmz(), _resource()):
        # The name of a protocol would be looked up in /etc/protocols, which a small image does not have.
        assert "l4proto" not in text
        assert "icmp type echo-request accept" in text
        assert "redirect accept" not in text
    for text in (rulesets.dmz(), _resource()):
        # The kernel has no setting for it in IPv6, as it has in IPv4.
        assert "icmpv6 type nd-redirect drop" in text.split("chain output")[1].split("}")[0]


def test_a_workload_has_its_own_nodes_share_of_the_networks_ula() -> None:
    """As it has its own node's subnet of the network's range."""
    assert "ip6 saddr != { ::, fd12:3456:789a:1::a01:200/120, fe80::/10 } drop" in _resource()


def test_one_network_cannot_take_all_connections_of_the_dmz() -> None:
    to_internet = _resource().split("chain to_internet")[1]
    assert to_internet.index("limit rate over 500/second") < to_internet.index("ct count over 8192")


def test_a_resource_judges_the_source_before_it_lets_established_traffic_pass() -> None:
    forward = _resource().split("chain forward")[1]
    assert forward.index("from_lan") < forward.index("ct state")
    assert forward.index("from_mesh") < forward.index("ct state")


def test_a_mesh_over_a_public_range_does_not_leave_through_the_internet() -> None:
    text = rulesets.resource(
        lan="n-abc",
        tunnel="w-abc",
        subnet=IPv4Network("198.51.100.0/24"),
        ula=IPv6Network("fd00:1::/64"),
        network_range=IPv4Network("198.51.0.0/16"),
    )
    assert "198.51.0.0/16" in text.split("chain to_internet")[1].split("}\n")[0]


def test_names_are_asked_for_at_the_lans_own_addresses_from_lan_and_mesh_alone() -> None:
    names = _resource().split("chain to_names")[1].split("}\n\n")[0]
    for rule in ('iifname != { "n-abc", "w-abc" } drop', "ip daddr != 10.1.2.1 drop", "ip6 daddr != fd12:"):
        assert rule in names
    arriving = _resource().split("chain input")[1].split("}\n\n")[0]
    # The source is judged before, and who floods is stopped also in what he has begun.
    assert arriving.index("from_mesh") < arriving.index("to_names") < arriving.index("ct state")


@pytest.mark.kernel
@pytest.mark.parametrize(
    "text",
    [
        rulesets.host(),
        rulesets.dmz(),
        rulesets.dmz((IPv4Network("192.0.2.0/24"), IPv4Network("10.0.0.0/8"), IPv6Network("2001:db8::/64"))),
        _resource(),
    ],
)
def test_nft_takes_the_text_and_lists_it_as_it_is_written(text: str, namespace: str) -> None:
    firewall.apply(text, namespace)
    assert firewall.current(namespace).strip() == text.strip()
