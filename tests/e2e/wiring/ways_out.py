"""Wirings that are about what is behind the gateway: nobody, a portal, somebody else, liars, an outage."""

from __future__ import annotations

from tests.e2e.wiring.findings import Found, Online
from tests.e2e.wiring.happenings import GridComes, GridGoes, UpstreamDies, UpstreamHeals
from tests.e2e.wiring.networks import Dnsmasq, Internet, Lan, Names
from tests.e2e.wiring.places import GRID_BY_IPV4, GRID_PORT, GRID_WITH_TLS, OTHER_IPV4
from tests.e2e.wiring.sequences import ALONE, ALONE_UNTIL_GRID, TO_ONLINE, TRYING, online
from tests.e2e.wiring.wiring import Wiring

ATTACHED = f"{TRYING} attaching checking degraded?"

WAYS_OUT = (
    Wiring(
        name="a gateway that nobody is",
        nics=(Lan(dhcp=Dnsmasq(router=9)),),
        story=(
            Found(
                situation="gateway dead",
                state="path:eth0/ipv4 no_gateway",
                warning="no-gateway",
                why="eth0: leased {address} but 192.0.2.9 does not answer ARP. Next try in {duration}.",
            ),
        ),
        states={"path:eth0/ipv4": "addressing asking_gateway no_gateway (asking_gateway no_gateway)*"},
    ),
    Wiring(
        name="a gateway that routes nowhere",
        nics=(Lan(upstream=False),),
        grid=GRID_BY_IPV4,
        story=(
            Found(
                state="path:eth0/ipv4 no_internet",
                warning="no-internet",
                why="eth0 (uplink): 192.0.2.1 answers ARP but http://203.0.113.10:8080 does not answer through it: "
                "no connection: Network is unreachable. Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="no_internet")},
    ),
    Wiring(
        name="nobody at the grid's address",
        nics=(Lan(),),
        internet=Internet.NOTHING,
        grid=GRID_BY_IPV4,
        story=(
            Found(
                situation="no internet",
                state="path:eth0/ipv4 no_internet",
                warning="no-internet",
                why="eth0 (uplink): 192.0.2.1 answers ARP but http://203.0.113.10:8080 does not answer through it: "
                "no connection: Connection refused. Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="no_internet")},
    ),
    Wiring(
        name="a grid that answers, and another endpoint that must and does not",
        nics=(Lan(),),
        uplink=f'endpoints = ["tcp://{OTHER_IPV4}:99"]\nquorum = 2',
        story=(
            Found(
                state="path:eth0/ipv4 no_internet",
                warning="no-internet",
                why="eth0 (uplink): expected 2 endpoints to answer, found 1; 192.0.2.1 answers ARP "
                "but tcp://203.0.113.20:99 does not answer through it: no connection: Connection refused. "
                "Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="no_internet")},
    ),
    Wiring(
        name="a grid and another endpoint that both must answer",
        nics=(Lan(),),
        uplink=f'endpoints = ["tcp://{OTHER_IPV4}:{GRID_PORT}"]\nquorum = 2',
        story=(Online("eth0", says=online("eth0")),),
        states={"connectivity": TO_ONLINE, "path:eth0/ipv4": ALONE},
    ),
    Wiring(
        name="an outage upstream that heals",
        nics=(Lan(),),
        uplink='recheck = "1 s"',
        story=(
            Online("eth0"),
            UpstreamDies("eth0"),
            Found(
                situation="upstream outage",
                state="connectivity degraded",
                warning="no-internet",
                why="eth0 (uplink): 192.0.2.1 answers ARP but http://grid.example:8080 does not answer through it: "
                "no connection: Network is unreachable. Next try in {duration}.",
            ),
            UpstreamHeals("eth0"),
            Online("eth0", says=online("eth0")),
        ),
        states={
            "connectivity": f"{TO_ONLINE} degraded online",
            "path:eth0/ipv4": f"{ALONE} (asking_gateway resolving asking_grid (proven | doubtful | no_internet))+ "
            "(asking_gateway resolving? asking_grid?)?",
        },
    ),
    Wiring(
        name="a grid that is away for a while",
        nics=(Lan(),),
        uplink='recheck = "1 s"',
        story=(
            Online("eth0"),
            GridGoes(),
            Found(
                state="connectivity degraded",
                warning="no-internet",
                why="eth0 (uplink): 192.0.2.1 answers ARP but http://grid.example:8080 does not answer through it: "
                "no connection: Connection refused. Next try in {duration}.",
            ),
            GridComes(),
            Online("eth0", says=online("eth0")),
        ),
        states={"connectivity": f"{TO_ONLINE} degraded online"},
    ),
    Wiring(
        name="a captive portal",
        nics=(Lan(portal=True),),
        story=(
            Found(
                situation="captive portal",
                state="path:eth0/ipv4 captive_portal",
                warning="captive-portal",
                why="eth0 (uplink): http://grid.example:8080 answers with a page of a captive portal "
                "(302 to http://login.example/). Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="captive_portal")},
    ),
    Wiring(
        name="somebody who cannot prove to be the grid",
        nics=(Lan(),),
        internet=Internet.FALSE_CERTIFICATE,
        grid=GRID_WITH_TLS,
        story=(
            Found(
                situation="TLS fault",
                state="path:eth0/ipv4 tls_fault",
                warning="tls-fault",
                why="eth0 (uplink): grid.example:8443 shows a certificate that is not its own: nobody whom this node "
                "trusts has issued it (self-signed certificate). Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="tls_fault")},
    ),
    Wiring(
        name="a name server that lies",
        nics=(Lan(names=Names.LYING),),
        story=(
            Found(
                situation="names that lie",
                state="path:eth0/ipv4 lying_names",
                warning="lying-names",
                why="eth0 (uplink): 192.0.2.1 answers every name with 10.66.66.66. Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="lying_names")},
    ),
    Wiring(
        name="a name server that does not know the grid",
        nics=(Lan(names=Names.IGNORANT),),
        story=(
            Found(
                situation="name unknown",
                state="path:eth0/ipv4 no_names",
                warning="no-names",
                why="eth0 (uplink): 192.0.2.1 knows no grid.example (NXDOMAIN). Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="no_names")},
    ),
    Wiring(
        name="a name server that does not answer",
        nics=(Lan(names=Names.SILENT),),
        story=(
            Found(
                situation="no name server",
                state="path:eth0/ipv4 no_names",
                warning="no-names",
                why="eth0 (uplink): 192.0.2.1 does not answer DNS. Next try in {duration}.",
            ),
        ),
        states={"connectivity": ATTACHED, "path:eth0/ipv4": ALONE_UNTIL_GRID.format(found="no_names")},
    ),
)
