"""Wirings that are about IPv4 addresses: DHCP servers of all kinds, and addresses given by hand."""

from __future__ import annotations

from tests.e2e.wiring.findings import Found, Heard, Online
from tests.e2e.wiring.happenings import DhcpComes, DhcpGoes, LosesPower, Starts, Stops
from tests.e2e.wiring.networks import Answer, Dnsmasq, Lan, NobodyThere, Scripted
from tests.e2e.wiring.places import GRID_BY_IPV4
from tests.e2e.wiring.sequences import ALONE, BOUND, TO_ONLINE, online
from tests.e2e.wiring.wiring import Wiring

ADDRESSES = (
    Wiring(
        name="a DHCP server that takes 3 s to answer",
        nics=(Lan(dhcp=Dnsmasq(slow=True)),),
        story=(Online("eth0", says=online("eth0")),),
        states={"connectivity": TO_ONLINE, "lease:eth0": BOUND, "path:eth0/ipv4": ALONE},
    ),
    Wiring(
        name="no DHCP server, until one is started",
        nics=(NobodyThere(), Lan(dhcp=None)),
        story=(
            Found(
                situation="no DHCP server",
                state="path:eth0/ipv4 no_address",
                warning="no-lease",
                why="eth0 and eth1: {count} DISCOVERs, no OFFER. Next try in {duration}.",
            ),
            DhcpComes("eth1"),
            Online("eth1", says=online("eth1")),
        ),
        states={
            "path:eth0/ipv4": "addressing no_address idle",
            "path:eth1/ipv4": f"addressing no_address {ALONE.removeprefix('addressing ')}",
        },
    ),
    Wiring(
        name="a DHCP server that names no router",
        nics=(Lan(dhcp=Dnsmasq(router=None)),),
        story=(
            Found(
                situation="no default route",
                state="path:eth0/ipv4 no_route",
                warning="no-route",
                why="eth0: leased {address} from 192.0.2.1, which names no gateway. Next try in {duration}.",
            ),
        ),
        states={"path:eth0/ipv4": "addressing no_route", "lease:eth0": BOUND},
    ),
    Wiring(
        name="the gateway changes when the lease is renewed",
        nics=(Lan(dhcp=Scripted(seconds=12, router=2), squatter=2),),
        story=(
            Online("eth0", host=50, router=2),
            DhcpGoes("eth0"),
            DhcpComes("eth0", Scripted(seconds=12)),
            Online("eth0", host=50, router=1),
        ),
        states={
            "connectivity": TO_ONLINE,
            "lease:eth0": f"{BOUND} (renewing bound)+",
            "path:eth0/ipv4": f"{ALONE} asking_gateway resolving asking_grid proven",
        },
    ),
    Wiring(
        name="another pool when the lease is renewed",
        nics=(Lan(dhcp=Scripted(seconds=10)),),
        story=(
            Online("eth0", host=50),
            DhcpGoes("eth0"),
            DhcpComes("eth0", Scripted(offers=(120,))),
            Online("eth0", host=120, says=online("eth0")),
        ),
        states={"lease:eth0": f"{BOUND} (renewing bound)* renewing backing_off? {BOUND}"},
    ),
    Wiring(
        name="a DHCP server that is gone when the lease is renewed, and another one that is there",
        nics=(Lan(dhcp=Scripted(seconds=10)),),
        story=(
            Online("eth0", host=50),
            DhcpGoes("eth0"),
            DhcpComes("eth0", Scripted(server=3)),
            Heard("eth0", "REQUEST", 2, 2),
            Online("eth0", host=50, says=online("eth0")),
        ),
        states={"connectivity": TO_ONLINE, "lease:eth0": f"{BOUND} renewing rebinding bound", "path:eth0/ipv4": ALONE},
    ),
    Wiring(
        name="a lease that ends, with its server gone",
        nics=(Lan(dhcp=Scripted(seconds=10)),),
        story=(
            Online("eth0"),
            DhcpGoes("eth0"),
            Found(
                situation="lease expired",
                state="path:eth0/ipv4 no_address",
                warning="no-lease",
                why="eth0 (uplink): the lease of {address} from 192.0.2.1 has expired. Next try in {duration}.",
            ),
            DhcpComes("eth0"),
            Online("eth0", says=online("eth0")),
        ),
        states={
            "connectivity": f"{TO_ONLINE} degraded online",
            "lease:eth0": f"{BOUND} renewing rebinding (selecting backing_off)* {BOUND}",
        },
    ),
    Wiring(
        name="an address that somebody else has, and another that is free",
        nics=(Lan(dhcp=Scripted(offers=(50, 51)), squatter=50),),
        story=(
            Found(
                situation="address in use",
                state="lease:eth0 declining",
                warning="address-conflict",
                why="eth0: 192.0.2.50 is in use by {mac}. Next try in {duration}.",
            ),
            Online("eth0", host=51, says=online("eth0")),
            Heard("eth0", "DECLINE", 1, 1),
        ),
        states={"lease:eth0": f"selecting requesting checking declining {BOUND}"},
    ),
    Wiring(
        name="a server that refuses all that it offers",
        nics=(Lan(dhcp=Scripted(refuses=2)),),
        story=(
            Found(
                situation="NAK",
                state="lease:eth0 backing_off",
                warning="no-lease",
                why="eth0: 192.0.2.1 refuses 192.0.2.50: not here. Next try in {duration}.",
            ),
            Online("eth0"),
            # A client that comes back at once is refused at once: that would be thousands.
            Heard("eth0", "REQUEST", 3, 3),
            Heard("eth0", "DISCOVER", 3, 12),
        ),
        states={"lease:eth0": "selecting requesting (backing_off selecting requesting)+ checking bound"},
    ),
    Wiring(
        name="a server whose packets are malformed, among others that are hostile",
        nics=(Lan(dhcp=Scripted(answer=Answer.MALFORMED)),),
        story=(Online("eth0", host=50, says=online("eth0")),),
        states={"connectivity": TO_ONLINE, "lease:eth0": BOUND, "path:eth0/ipv4": ALONE},
    ),
    Wiring(
        name="an address given by hand",
        nics=(Lan(),),
        words="ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:none nameserver=192.0.2.1",
        story=(Online("eth0", host=7, says=online("eth0")), Heard("eth0", "DISCOVER", 0, 0)),
        states={"connectivity": TO_ONLINE, "lease:eth0": "checking bound", "path:eth0/ipv4": ALONE},
    ),
    Wiring(
        name="an address given by hand that somebody else has",
        nics=(Lan(squatter=7),),
        words="ip=192.0.2.7::192.0.2.1:24::eth0:none nameserver=192.0.2.1",
        story=(
            Found(
                situation="address given by hand in use",
                state="lease:eth0 backing_off",
                warning="address-conflict",
                why="eth0: 192.0.2.7 is in use by {mac}. Next try in {duration}.",
            ),
        ),
        states={"path:eth0/ipv4": "addressing no_address"},
    ),
    Wiring(
        name="the power fails, and the lease of before is asked for",
        nics=(Lan(),),
        grid=GRID_BY_IPV4,
        story=(
            Online("eth0"),
            LosesPower(),
            Starts(),
            Online("eth0", says=online("eth0")),
            Heard("eth0", "DISCOVER", 1, 1),
        ),
        states={"lease:eth0": f"{BOUND} rebooting checking bound"},
    ),
    Wiring(
        name="the process is started again, and the uplink stays",
        nics=(Lan(),),
        story=(
            Online("eth0"),
            Stops(),
            Starts(),
            Online("eth0", says=online("eth0")),
            Heard("eth0", "DISCOVER", 1, 1),
        ),
        states={
            "connectivity": f"{TO_ONLINE} adopting checking online",
            "path:eth0/ipv4": f"{ALONE} asking_gateway resolving asking_grid proven",
        },
    ),
    Wiring(
        name="another pool after the power has failed",
        nics=(Lan(dhcp=Scripted()),),
        story=(
            Online("eth0", host=50),
            LosesPower(),
            DhcpGoes("eth0"),
            DhcpComes("eth0", Scripted(offers=(120,))),
            Starts(),
            Online("eth0", host=120, says=online("eth0")),
        ),
        states={"lease:eth0": f"{BOUND} rebooting backing_off? {BOUND}"},
    ),
)
