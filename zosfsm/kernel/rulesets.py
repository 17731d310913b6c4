"""The texts of the firewalls: the node's own namespace, the DMZ, a network resource. Pure: `firewall` applies them.

Who may reach whom: a network resource reaches its own mesh and the internet, and nothing else: not the node, not
another network resource, not the farmer's network, and nothing reaches in. IPv4 and IPv6 are ruled alike. Where a rule
judges a source, it stands before the one that lets established traffic pass.

The texts are written as `nft list table` prints them, with sets sorted and merged: comparing them with what is in force
is then a comparison of texts, and `firewall` needs its slower way only with an nft that prints differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

TUNNEL_ADDRESSES = IPv4Network("100.64.0.0/16")
"""Each network resource's WireGuard address is in here."""
DMZ_ADDRESSES = IPv4Network("100.127.0.0/16")
DMZ_ADDRESSES_IPV6 = IPv6Network("fd00::/64")
WIREGUARD_PORTS = (2000, 8000)
"""The UDP ports a user may choose from, both included."""

NOT_INTERNET_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
"""RFC 6890's blocks that lead to somebody's private network, to the node itself or to many at once."""

_TRANSLATED, _TUNNELLED = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
NOT_INTERNET_IPV6 = (
    *(IPv6Network(text) for text in ("::/80", "64:ff9b:1::/48", "fc00::/6")),
    *(
        IPv6Network((within[int(network.network_address) << 128 - end], end - 32 + network.prefixlen))
        for within, end in ((_TRANSLATED, 128), (_TUNNELLED, 48))
        for network in NOT_INTERNET_IPV4
    ),
)
"""The same in IPv6, and what a translator (RFC 6052, RFC 8215) or 6to4 (RFC 3056) makes of such an IPv4 address.

fc00::/6 is unique local, link-local, site-local and multicast in one.
"""

_MOST_NEW_A_SECOND, _MOST_NEW_AT_ONCE = 500, 2000
_MOST_CONNECTIONS = 8192
"""To the internet, of one network resource: the DMZ's table of connections has some 260000 places for all of them.

The rate is judged first: counting connections takes longer the more there are, 0.1 ms with all of these.
"""

_MOST_ASKERS = 1024
"""Whoever asks for names beyond so many at once is not told apart from others; the name server has limits too."""
_NEIGHBOURS = "{ nd-neighbor-solicit, nd-neighbor-advert }"
_FROM_A_ROUTER = "{ echo-request, mld-listener-query, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"


def host() -> str:
    """The node's own namespace: `zos` is its door to the world, and what hangs on its bridges has no business with it.

    Links that are not named here (loopback, a NIC being probed) are left alone.
    """
    first, last = WIREGUARD_PORTS
    return f"""\
table inet zosfsm {{
	chain input {{
		type filter hook input priority filter; policy accept;
		iifname "br-ndmz" drop
		iifname "b-*" drop
		iifname "zos" jump from_underlay
	}}

	chain from_underlay {{
		ct state established,related accept
		icmp type echo-request accept
		icmpv6 type {_FROM_A_ROUTER} accept
		udp dport {first}-{last} accept comment "WireGuard of the network resources"
		udp dport {{ 68, 546 }} accept comment "answers to our DHCP clients"
		drop
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname "zos" oifname "zos" accept comment "frames inside one bridge, seen here with br_netfilter"
		iifname "br-ndmz" oifname "br-ndmz" accept
		iifname "b-*" oifname "b-*" accept
		iifname "zos" drop
		iifname "br-ndmz" drop
		iifname "b-*" drop
		oifname "zos" drop
		oifname "br-ndmz" drop
		oifname "b-*" drop
	}}
}}
"""


def dmz(farmer_networks: Iterable[IPv4Network | IPv6Network] = ()) -> str:
    """The DMZ: out to the internet and back, never to a private network nor to the uplink's own, `farmer_networks`.

    The uplink's IPv6 networks need not be told: a router that advertises itself has a link-local address (RFC 4861,
    4.2), so a packet with any other next hop is for a neighbour. What no connection knows would leave untranslated.
    """
    networks = tuple(farmer_networks)
    forbidden = [*NOT_INTERNET_IPV4, *(network for network in networks if isinstance(network, IPv4Network))]
    forbidden_ipv6 = [*NOT_INTERNET_IPV6, *(network for network in networks if isinstance(network, IPv6Network))]
    return f"""\
table inet zosfsm {{
	chain input {{
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		iifname "public" ip daddr {DMZ_ADDRESSES} drop
		iifname "public" ip6 daddr {DMZ_ADDRESSES_IPV6} drop
		iifname "tonrs" ip daddr != {DMZ_ADDRESSES} drop
		iifname "tonrs" ip6 daddr != {{ {DMZ_ADDRESSES_IPV6}, fe80::/10, ff02::/16 }} drop
		ct state established,related accept
		icmp type echo-request accept
		icmpv6 type {_FROM_A_ROUTER} accept
		iifname "public" udp dport {{ 68, 546 }} accept comment "answers to the DHCP client"
	}}

	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname "public" oifname "tonrs" ct state established,related accept
		iifname "tonrs" oifname "public" jump to_internet
	}}

	chain output {{
		type filter hook output priority filter; policy accept;
		icmpv6 type nd-redirect drop
	}}

	chain to_internet {{
		ct state invalid drop
		ip saddr != {DMZ_ADDRESSES} drop
		ip6 saddr != {DMZ_ADDRESSES_IPV6} drop
		exthdr rt exists drop
		ip daddr {_set(forbidden)} drop
		ip6 daddr {_set(forbidden_ipv6)} drop
		rt ip6 nexthop != fe80::/10 drop
		accept
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		oifname "public" ip saddr {DMZ_ADDRESSES} masquerade fully-random
		oifname "public" ip6 saddr {DMZ_ADDRESSES_IPV6} masquerade fully-random
	}}
}}
"""


def resource(*, lan: str, tunnel: str, subnet: IPv4Network, ula: IPv6Network, network_range: IPv4Network) -> str:
    """A network resource whose LAN link `lan` has `subnet` and `ula`, in a mesh over `network_range` behind `tunnel`.

    What is meant for the mesh never leaves through `public`, not even while the tunnel is away. Names are asked for at
    the LAN's own addresses alone, and nobody may ask so often that he is in others' way.
    """
    mesh = _set((network_range, TUNNEL_ADDRESSES))
    names = subnet[1]
    # The rest of the network's ULA is on other nodes.
    own_ula = IPv6Network((ula[int(subnet.network_address)], 96 + subnet.prefixlen))
    return f"""\
table inet zosfsm {{
	set askers {{
		type ipv4_addr
		size {_MOST_ASKERS}
		flags dynamic,timeout
		timeout 1m
	}}

	set askers_ipv6 {{
		type ipv6_addr
		size {_MOST_ASKERS}
		flags dynamic,timeout
		timeout 1m
	}}

	chain input {{
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		iifname "{lan}" jump from_lan
		iifname "{tunnel}" jump from_mesh
		udp dport 53 jump to_names
		tcp dport 53 jump to_names
		ct state established,related accept
		icmpv6 type {_NEIGHBOURS} accept
		icmp type echo-request accept
		icmpv6 type echo-request accept
	}}

	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname "{lan}" jump from_lan
		iifname "{tunnel}" jump from_mesh
		ct state established,related accept
		iifname "{lan}" oifname "{tunnel}" jump to_mesh
		iifname "{tunnel}" oifname "{tunnel}" jump to_mesh
		iifname "{tunnel}" oifname "{lan}" ip daddr {subnet} accept
		iifname "{tunnel}" oifname "{lan}" ip6 daddr {own_ula} accept
		iifname "{lan}" oifname "public" jump to_internet
	}}

	chain output {{
		type filter hook output priority filter; policy accept;
		icmpv6 type nd-redirect drop
	}}

	chain from_lan {{
		ip saddr != {subnet} drop
		ip6 saddr != {{ ::, {own_ula}, fe80::/10 }} drop
	}}

	chain from_mesh {{
		ip saddr != {mesh} drop
		ip6 saddr != {{ {ula}, fe80::/10 }} drop
	}}

	chain to_names {{
		iifname != {{ "{lan}", "{tunnel}" }} drop
		ip daddr != {names} drop
		ip6 daddr != {ula[int(names)]} drop
		tcp dport 53 ct state established accept
		update @askers {{ ip saddr limit rate over 100/second burst 200 packets }} drop
		update @askers_ipv6 {{ ip6 saddr limit rate over 100/second burst 200 packets }} drop
		accept
	}}

	chain to_mesh {{
		ip daddr {mesh} accept
		ip6 daddr {ula} accept
		drop
	}}

	chain to_internet {{
		ct state invalid drop
		ip daddr {_set((*NOT_INTERNET_IPV4, network_range))} drop
		ip6 daddr {_set(NOT_INTERNET_IPV6)} drop
		exthdr rt exists drop
		ct state new limit rate over {_MOST_NEW_A_SECOND}/second burst {_MOST_NEW_AT_ONCE} packets drop
		ct state new ct count over {_MOST_CONNECTIONS} drop
		accept
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		oifname "public" ip saddr {subnet} masquerade
		oifname "public" ip6 saddr {own_ula} masquerade
	}}
}}
"""


def _set(networks: Iterable[IPv4Network] | Iterable[IPv6Network]) -> str:
    return _merged(tuple(networks))


@lru_cache(maxsize=256)
def _merged(networks: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]) -> str:
    # nft refuses a set in which one network lies inside another.
    return "{ " + ", ".join(str(network) for network in collapse_addresses(networks)) + " }"  # type: ignore[type-var]
