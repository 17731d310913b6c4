"""The text of the firewall of the namespace `public`: tunnels in, the DMZ's traffic out. Pure: `firewall` applies it.

The rules of rulesets.py hold here too: what leads to a private network, or to the farmer's own public subnet, is no
internet, and a rule that judges a source stands before the one that lets established traffic pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from zosfsm.kernel.rulesets import NOT_INTERNET_IPV4, NOT_INTERNET_IPV6, WIREGUARD_PORTS

FROM_DMZ = IPv4Network("100.126.0.0/30")
FROM_DMZ_IPV6 = IPv6Network("fd00:0:0:1::/64")
"""The networks between the DMZ and this namespace; all that comes from there has their addresses."""

_FROM_OUTSIDE = "{ echo-request, mld-listener-query, nd-neighbor-solicit, nd-neighbor-advert }"
_FROM_DMZ = "{ echo-request, nd-neighbor-solicit, nd-neighbor-advert }"


def public(networks: Iterable[IPv4Network | IPv6Network] = ()) -> str:
    """The rules where `networks` are the subnets of the public addresses. Routers there are not listened to."""
    known = tuple(networks)
    forbidden = [*NOT_INTERNET_IPV4, *(network for network in known if isinstance(network, IPv4Network))]
    forbidden_ipv6 = [*NOT_INTERNET_IPV6, *(network for network in known if isinstance(network, IPv6Network))]
    first, last = WIREGUARD_PORTS
    return f"""\
table inet zosfsm {{
	chain input {{
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		iifname "public" jump from_outside
		iifname "tondmz" jump from_dmz
	}}

	chain from_outside {{
		ip saddr {FROM_DMZ} drop
		ip daddr {FROM_DMZ} drop
		ip6 saddr {FROM_DMZ_IPV6} drop
		ip6 daddr {FROM_DMZ_IPV6} drop
		ct state established,related accept
		icmp type echo-request accept
		icmpv6 type {_FROM_OUTSIDE} accept
		udp dport {first}-{last} accept comment "WireGuard of the network resources"
	}}

	chain from_dmz {{
		ip saddr != {FROM_DMZ} drop
		ip6 saddr != {{ ::, {FROM_DMZ_IPV6}, fe80::/10 }} drop
		icmp type echo-request accept
		icmpv6 type {_FROM_DMZ} accept
	}}

	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname "public" oifname "tondmz" ct state established,related accept
		iifname "tondmz" oifname "public" jump to_internet
	}}

	chain to_internet {{
		ct state invalid drop
		ip saddr != {FROM_DMZ} drop
		ip6 saddr != {FROM_DMZ_IPV6} drop
		ip daddr {_set(forbidden)} drop
		ip6 daddr {_set(forbidden_ipv6)} drop
		exthdr rt exists drop
		accept
	}}

	chain output {{
		type filter hook output priority filter; policy accept;
		icmpv6 type nd-redirect drop
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		oifname "public" ip saddr {FROM_DMZ} masquerade fully-random
		oifname "public" ip6 saddr {FROM_DMZ_IPV6} masquerade fully-random
	}}
}}
"""


def _set(networks: Iterable[IPv4Network] | Iterable[IPv6Network]) -> str:
    # nft refuses a set in which one network lies inside another.
    return "{ " + ", ".join(str(network) for network in collapse_addresses(networks)) + " }"  # type: ignore[type-var]
