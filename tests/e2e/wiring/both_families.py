"""Wirings that are about IPv6: alone, beside an IPv4 that leads nowhere, and when one of both dies."""

from __future__ import annotations

from tests.e2e.wiring.findings import Found, Online, UsersDoNotReach, UsersReach
from tests.e2e.wiring.happenings import GatewayDies, RouterAdvertises, RouterResigns
from tests.e2e.wiring.networks import Dnsmasq, Lan
from tests.e2e.wiring.places import GRID_BY_IPV6
from tests.e2e.wiring.sequences import TO_ONLINE, online
from tests.e2e.wiring.wiring import Wiring

BOTH_FAMILIES = (
    Wiring(
        name="IPv6 only",
        nics=(Lan(dhcp=None, ipv6=True),),
        story=(
            Online("eth0", families="ipv6"),
            Found(situation="IPv6 only", state="path:eth0/ipv6 proven", why=online("eth0", "ipv6")),
            UsersReach("ipv6"),
            UsersDoNotReach("eth0"),
        ),
        states={
            "connectivity": TO_ONLINE,
            "lease:eth0": "selecting",
            "dmz": "absent building routing securing ready",
            "lease:ndmz": "",
        },
    ),
    Wiring(
        name="IPv6 only, by the command line, the grid by its address",
        nics=(Lan(ipv6=True),),
        words="ip=dhcp6",
        grid=GRID_BY_IPV6,
        story=(Online("eth0", families="ipv6", says=online("eth0", "ipv6")),),
        states={"connectivity": TO_ONLINE, "path:eth0/ipv4": "", "lease:eth0": ""},
    ),
    Wiring(
        name="IPv6, while IPv4 has no gateway",
        nics=(Lan(dhcp=Dnsmasq(router=None), ipv6=True),),
        story=(
            Online("eth0", families="ipv6"),
            Found(
                state="path:eth0/ipv4 no_route",
                why=online("eth0", "ipv6") + " IPv4 does not lead to the grid: "
                "leased {address} from 192.0.2.1, which names no gateway.",
            ),
        ),
        states={"connectivity": TO_ONLINE, "path:eth0/ipv4": "addressing no_route"},
    ),
    Wiring(
        name="both families, and the IPv6 router resigns",
        nics=(Lan(ipv6=True),),
        story=(
            Online("eth0", families="ipv4 ipv6"),
            Found(situation="both families", state="path:eth0/ipv6 proven", why=online("eth0", "ipv4 ipv6")),
            UsersReach("ipv4 ipv6"),
            UsersDoNotReach("eth0"),
            RouterResigns("eth0"),
            Found(
                state="path:eth0/ipv6 no_route",
                why=online("eth0") + " IPv6 does not lead to the grid: {any}",
            ),
            Online("eth0"),
            UsersReach("ipv4"),
            RouterAdvertises("eth0"),
            Online("eth0", families="ipv4 ipv6", says=online("eth0", "ipv4 ipv6")),
            UsersReach("ipv4 ipv6"),
        ),
        states={"connectivity": TO_ONLINE},
    ),
    Wiring(
        name="both families, and the IPv4 gateway dies",
        nics=(Lan(ipv6=True),),
        uplink='recheck = "1 s"',
        story=(
            Online("eth0", families="ipv4 ipv6", says=online("eth0", "ipv4 ipv6")),
            UsersReach("ipv4 ipv6"),
            GatewayDies("eth0", "arp, ip"),
            Found(
                situation="one family fails",
                state="path:eth0/ipv4 no_gateway",
                warning="no-gateway",
                why=online("eth0", "ipv6") + " IPv4 does not lead to the grid: "
                "leased {address} but 192.0.2.1 does not answer ARP.",
            ),
            Online("eth0", families="ipv6"),
            UsersReach("ipv6"),
        ),
        states={"connectivity": TO_ONLINE},
    ),
    Wiring(
        name="both families, and the IPv6 router does not answer any more",
        nics=(Lan(ipv6=True),),
        uplink='recheck = "1 s"',
        story=(
            Online("eth0", families="ipv4 ipv6", says=online("eth0", "ipv4 ipv6")),
            GatewayDies("eth0", "ip6"),
            Found(
                state="path:eth0/ipv6 no_gateway",
                why=online("eth0") + " IPv6 does not lead to the grid: fe80::1 does not answer neighbour discovery.",
            ),
            Online("eth0"),
        ),
        states={"connectivity": TO_ONLINE},
    ),
    Wiring(
        name="no IPv6 router, and no IPv4",
        nics=(Lan(dhcp=None),),
        words="ip=auto6",
        story=(
            Found(
                situation="no router",
                state="path:eth0/ipv6 no_address",
                warning="no-router",
                why="eth0: no router advertises itself. Next try in {duration}.",
            ),
        ),
        states={"path:eth0/ipv6": "addressing no_address"},
    ),
)
