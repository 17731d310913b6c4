"""The DMZ between a network resource's side and a small internet: what passes, what does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import pytest

from tests.kernel.advertising import PREFIX, advertisement, prefix, send_forged, wait_for_an_address
from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.kernel import dmz, firewall, namespaces, rulesets
from zosfsm.kernel.errors import KernelError

pytestmark = pytest.mark.kernel

_MAC = "02:00:00:00:00:77"
_FARM = IPv4Network("192.0.2.0/24")
_PING = "ping -q -c 1 -W 0.4"


def _build() -> tuple[str, ...]:
    dmz.ensure(_MAC, (_FARM,))
    return dmz.differences(_MAC, (_FARM,))


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    """The farm's network with its router behind the bridge `zos`, and behind the router 203.0.113.1 and 10.9.9.9."""
    with separate_hosts(1) as (only,):
        only.shell(
            "ip link set lo up && ip link add zos type bridge && ip link set zos up && "
            "ip address add 192.0.2.10/24 dev zos && "
            "ip netns add router && ip link add nic type veth peer name farm netns router && "
            "ip link set nic master zos up && ip -n router link set farm up && ip -n router link set lo up && "
            "ip -n router address add 192.0.2.1/24 dev farm && ip -n router address add 203.0.113.1/32 dev lo && "
            "ip -n router address add 10.9.9.9/32 dev lo"
        )
        yield only


@pytest.fixture
def built(host: SeparateHost) -> SeparateHost:
    """The DMZ with a lease, and a tenant on its bridge as a network resource would be."""
    assert host.run(_build) == ()
    host.shell(
        "ip -n ndmz address add 192.0.2.20/24 dev public && ip -n ndmz route add default via 192.0.2.1 && "
        "ip netns add tenant && ip link add public link br-ndmz netns tenant type macvlan mode private && "
        "ip -n tenant link set public up && ip -n tenant address add 100.127.0.9/16 dev public && "
        "ip -n tenant route add default via 100.127.0.1"
    )
    return host


def test_a_tenant_reaches_the_internet_with_the_leased_address(built: SeparateHost) -> None:
    assert built.succeeds("ip netns exec tenant ping -q -c 1 -w 5 203.0.113.1")
    assert "100.127" not in built.shell("ip -n router neighbour")


def test_a_tenant_reaches_neither_the_farm_nor_a_private_network_nor_the_node(built: SeparateHost) -> None:
    assert built.succeeds("ip netns exec tenant ping -q -c 1 -w 5 203.0.113.1")
    for address in ("192.0.2.1", "192.0.2.10", "10.9.9.9"):
        assert not built.succeeds(f"ip netns exec tenant {_PING} {address}")


def test_a_tenant_reaches_the_ipv6_internet_and_no_neighbour_of_the_uplink(built: SeparateHost) -> None:
    """A neighbour is whoever needs no router, whatever its address; a router is known by its link-local one."""
    built.shell(
        "ip -n router address add fe80::1/64 dev farm nodad && "
        "ip -n router address add 2001:db8::1/64 dev farm nodad && "
        "ip -n router address add 2001:db8:9::1/128 dev lo && "
        "ip -n ndmz address add 2001:db8::20/64 dev public nodad && "
        "ip -n ndmz route add default via fe80::1 dev public && "
        "ip -n tenant address add fd00::9/64 dev public nodad && ip -n tenant route add default via fd00::1"
    )
    assert built.succeeds("ip netns exec tenant ping -q -c 1 -w 5 2001:db8:9::1")
    assert built.succeeds("ip netns exec ndmz ping -q -c 1 -w 5 2001:db8::1")
    assert not built.succeeds(f"ip netns exec tenant {_PING} 2001:db8::1")


def test_a_tenant_sees_the_dmz_from_its_own_side_only(built: SeparateHost) -> None:
    assert built.succeeds("ip netns exec router ping -q -c 1 -w 5 192.0.2.20")
    assert not built.succeeds(f"ip netns exec tenant {_PING} 192.0.2.20")


def test_a_tenant_with_a_false_source_does_not_get_out(built: SeparateHost) -> None:
    built.shell("ip -n tenant address add 198.51.100.9/32 dev public && ip -n ndmz route add 198.51.100.9/32 dev tonrs")
    assert not built.succeeds(f"ip netns exec tenant {_PING} -I 198.51.100.9 203.0.113.1")


def test_nothing_comes_in_from_outside(built: SeparateHost) -> None:
    built.shell("ip -n router route add 100.127.0.0/16 via 192.0.2.20")
    assert not built.succeeds(f"ip netns exec router {_PING} 100.127.0.9")


def test_the_uplinks_neighbours_do_not_find_the_dmzs_inner_address(built: SeparateHost) -> None:
    built.shell("ip -n router route add 100.127.0.1/32 dev farm")
    assert built.succeeds("ip netns exec router ping -q -c 1 -w 5 192.0.2.20")
    assert not built.succeeds(f"ip netns exec router {_PING} 100.127.0.1")
    assert "lladdr" not in built.shell("ip -n router neighbour show 100.127.0.1")
    built.shell("ip -n router route replace 100.127.0.1/32 via 192.0.2.20")
    assert not built.succeeds(f"ip netns exec router {_PING} 100.127.0.1")


def test_the_dmz_answers_its_tenants(built: SeparateHost) -> None:
    assert built.succeeds("ip netns exec tenant ping -q -c 1 -w 5 100.127.0.1")


def test_the_hosts_own_firewall_lets_the_tenants_through_its_bridges(built: SeparateHost) -> None:
    built.run(firewall.apply, rulesets.host())
    assert built.succeeds("ip netns exec tenant ping -q -c 1 -w 5 203.0.113.1")
    assert built.succeeds("ip netns exec router ping -q -c 1 -w 5 192.0.2.10")


def test_the_host_listens_to_nobody_but_for_wireguard(built: SeparateHost) -> None:
    built.run(firewall.apply, rulesets.host())
    listing = built.shell("nft list chain inet zosfsm from_underlay")
    assert "udp dport 2000-8000 accept" in listing
    assert listing.split()[-3:] == ["drop", "}", "}"]


def test_the_host_has_no_address_on_the_bridge_of_the_dmz(built: SeparateHost) -> None:
    assert "inet" not in built.shell("ip address show dev br-ndmz")
    assert built.shell("sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding").split() == ["0", "0"]


def test_building_again_changes_nothing_and_keeps_the_lease(built: SeparateHost) -> None:
    def everything() -> list[str]:
        commands = ("ip link", "ip address", "ip route", "nft -a list ruleset")
        found = [built.shell(f"{place} {command}") for place in ("", "ip netns exec ndmz") for command in commands]
        # A moment after a link came up the kernel itself still changes these.
        return [re.sub(r"<[^>]*>|state [A-Z]+", "", each) for each in found]

    before = everything()
    assert built.run(_build) == ()
    assert everything() == before


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("ip link del br-ndmz", "br-ndmz"),
        ("ip link set to-ndmz nomaster", "to-ndmz"),
        ("sysctl -q -w net.ipv6.conf.br-ndmz.disable_ipv6=0", "br-ndmz/disable_ipv6"),
        ("sysctl -q -w net.ipv4.conf.br-ndmz.arp_ignore=0", "br-ndmz/arp_ignore"),
        ("ip -n ndmz link del tonrs", "to-ndmz"),
        ("ip -n ndmz link set public down", "public"),
        ("ip -n ndmz link set public address 02:00:00:00:00:78", "expected the MAC"),
        ("ip -n ndmz address del fe80::1/64 dev tonrs", "expected the address fe80::1/64"),
        ("ip -n ndmz address add 100.127.0.5/16 dev tonrs", "expected no address 100.127.0.5/16"),
        ("ip netns exec ndmz nft delete chain inet zosfsm postrouting", "firewall"),
        ("ip netns exec ndmz sysctl -q net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.all.forwarding"),
    ],
)
def test_damage_is_named_and_repaired(host: SeparateHost, damage: str, complaint: str) -> None:
    assert host.run(_build) == ()
    host.shell(damage)
    assert any(complaint in sentence for sentence in host.run(dmz.differences, _MAC, (_FARM,)))
    assert host.run(_build) == ()


def _route_by_ipv6(host: SeparateHost) -> None:
    """The farm's router says in one word all that radvd says in many, and has 2001:db8:9::1 behind it."""
    host.shell("ip -n router address add fe80::fe/64 dev farm nodad; ip -n router address add 2001:db8:9::1/128 dev lo")
    host.shell("ip netns exec router sysctl -q net.ipv6.conf.all.forwarding=1")
    host.shell(f"ip -n router route add {PREFIX} dev farm")
    host.run(wait_for_an_address, "farm", "router")
    host.run(_advertise, PREFIX)


def _advertise(network: IPv6Network, lifetime: int = 1800) -> None:
    with namespaces.entered("router"):
        send_forged("farm", [advertisement(prefix(network), lifetime=lifetime)])


def _tenant_by_ipv6(host: SeparateHost) -> None:
    host.shell(
        "ip netns add tenant && ip link add public link br-ndmz netns tenant type macvlan mode private && "
        "ip -n tenant link set public up && ip -n tenant address add fd00::9/64 dev public nodad && "
        "ip -n tenant route add default via fe80::1 dev public"
    )


def test_a_router_alone_gives_the_dmz_its_way_out(host: SeparateHost) -> None:
    """Nobody asks DHCP; the address is asked for by a solicitation, and users' packets leave with it."""
    assert host.run(_build) == ()
    assert not host.run(dmz.is_routed)
    _route_by_ipv6(host)
    until(lambda: bool(host.run(dmz.is_routed)))
    _tenant_by_ipv6(host)
    assert host.succeeds("ip netns exec tenant ping -q -c 1 -w 5 2001:db8:9::1")
    assert "fd00::" not in host.shell("ip -n router -6 neighbour")


def test_a_prefix_that_changes_is_followed_and_a_router_that_goes_is_missed(host: SeparateHost) -> None:
    assert host.run(_build) == ()
    _route_by_ipv6(host)
    until(lambda: bool(host.run(dmz.is_routed)))
    _tenant_by_ipv6(host)
    host.run(_advertise, IPv6Network("2001:db8:2::/64"))
    until(lambda: "2001:db8:2:" in host.shell("ip -n ndmz address show dev public -tentative"))
    host.shell("ip -n router address add 2001:db8:2::fe/64 dev farm nodad")
    assert host.succeeds("ip netns exec tenant ping -q -c 1 -w 5 2001:db8:9::1")
    # Of the farm's own as before, whatever its prefix is called.
    assert not host.succeeds(f"ip netns exec tenant {_PING} 2001:db8:2::fe")
    host.run(_advertise, PREFIX, 0)
    until(lambda: not host.run(dmz.is_routed))


def _through_public() -> tuple[str, ...]:
    dmz.ensure_through_public((_FARM,))
    return dmz.differences_through_public((_FARM,))


@pytest.fixture
def public(host: SeparateHost) -> SeparateHost:
    """A namespace `public` that forwards and translates, with 198.51.100.1 and 2001:db8:9::1 behind its own link."""
    host.shell(
        "ip netns add public && ip netns add outside && "
        "ip link add public netns public type veth peer name wide netns outside && "
        "ip netns exec public sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 && "
        "ip -n outside link set lo up && ip -n outside link set wide up && ip -n public link set public up && "
        "ip -n outside address add 203.0.113.1/24 dev wide && ip -n outside address add fe80::fe/64 dev wide nodad && "
        "ip -n outside address add 198.51.100.1/32 dev lo && ip -n outside address add 2001:db8:9::1/128 dev lo && "
        "ip -n public address add 203.0.113.5/24 dev public && "
        "ip -n public address add 2001:db8:3::5/64 dev public nodad && "
        "ip -n outside -6 route add 2001:db8:3::/64 dev wide && ip -n public route add default via 203.0.113.1 && "
        "ip -n public -6 route add default via fe80::fe dev public && "
        "ip netns exec public nft 'table inet nat { chain p { type nat hook postrouting priority srcnat; "
        "oifname public masquerade; }; }'"
    )
    return host


def test_a_tenant_leaves_through_the_public_interface(public: SeparateHost) -> None:
    assert public.run(_through_public) == ()
    _tenant_by_ipv6(public)
    public.shell("ip -n tenant address add 100.127.0.9/16 dev public && ip -n tenant route add default via 100.127.0.1")
    for target in ("198.51.100.1", "2001:db8:9::1"):
        assert public.succeeds(f"ip netns exec tenant ping -q -c 1 -w 5 {target}")
    for target in ("100.126.0.1", "100.126.0.2", "fd00:0:0:1::1", "fd00:0:0:1::2", "203.0.113.5"):
        assert public.succeeds(f"ip netns exec ndmz ping -q -c 1 -w 5 {target}")
        assert target == "203.0.113.5" or not public.succeeds(f"ip netns exec tenant {_PING} {target}")
    public.run(dmz.ensure_through_public, (_FARM, IPv4Network("203.0.113.0/24")))
    for target in ("203.0.113.5", "203.0.113.1"):
        assert not public.succeeds(f"ip netns exec tenant {_PING} {target}")


def test_the_way_out_changes_in_place(public: SeparateHost) -> None:
    """The inside, on which the network resources are, stays as it is."""
    assert public.run(_build) == ()
    inside = public.shell("ip -n ndmz -o link show tonrs; ip -o link show br-ndmz").split("mtu")[0]
    for build in (_through_public, _through_public, _build, _through_public):
        assert public.run(build) == ()
        assert public.shell("ip -n ndmz -o link show tonrs; ip -o link show br-ndmz").split("mtu")[0] == inside
        present = public.succeeds("ip -n public link show tondmz")
        assert present == (build is _through_public)
    public.run(dmz.teardown)
    assert not public.succeeds("ip -n public link show tondmz")
    assert not public.run(dmz.present)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("ip -n public link del tondmz", "tondmz"),
        ("ip -n public link set tondmz down", "tondmz"),
        ("ip -n public address del fe80::1/64 dev tondmz", "expected the address fe80::1/64"),
        ("ip -n ndmz address del 100.126.0.2/30 dev public", "expected the address 100.126.0.2/30"),
        ("ip -n ndmz route del default", "expected public in ndmz to lead to 0.0.0.0/0"),
        ("ip -n ndmz -6 route del default", "expected public in ndmz to lead to ::/0"),
    ],
)
def test_damage_of_the_way_through_public_is_named_and_repaired(
    public: SeparateHost, damage: str, complaint: str
) -> None:
    assert public.run(_through_public) == ()
    public.shell(damage)
    assert any(complaint in sentence for sentence in public.run(dmz.differences_through_public, (_FARM,)))
    assert public.run(_through_public) == ()


def test_a_public_namespace_that_is_gone_is_told_in_a_sentence(public: SeparateHost) -> None:
    assert public.run(_through_public) == ()
    public.shell("ip netns del public")
    assert "expected the network namespace public" in public.run(dmz.differences_through_public, (_FARM,))
    with pytest.raises(KernelError, match="public"):
        public.run(_through_public)


def test_a_lost_namespace_is_told_in_a_sentence(host: SeparateHost) -> None:
    host.run(_build)
    host.shell("ip netns del ndmz")
    assert "expected the network namespace ndmz" in host.run(dmz.differences, _MAC)


def test_teardown_leaves_nothing_and_may_be_repeated(host: SeparateHost) -> None:
    host.run(_build)
    assert host.run(dmz.present)
    host.run(dmz.teardown)
    host.run(dmz.teardown)
    assert not host.run(dmz.present)
    assert host.run(_build) == ()


def test_an_absent_uplink_bridge_is_told_in_a_sentence(host: SeparateHost) -> None:
    host.shell("ip link del zos")
    with pytest.raises(KernelError, match="there is no link zos"):
        host.run(_build)
    host.run(dmz.teardown)
    assert host.run(namespaces.names) == ("router",)
