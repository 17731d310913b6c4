"""Wirings with more than one way out: fail-over when one dies, and the way back."""

from __future__ import annotations

from tests.e2e.wiring.findings import Found, Online
from tests.e2e.wiring.happenings import GatewayDies, GatewayHeals, Plug, Pull, UpstreamDies
from tests.e2e.wiring.networks import Dnsmasq, Lan, NoCable
from tests.e2e.wiring.sequences import FAIL_OVER, INTERFACE_CHOSEN, TO_ONLINE, online
from tests.e2e.wiring.wiring import Wiring

MOVES = (
    Wiring(
        name="the cable of one of two good NICs is pulled, and plugged in again",
        nics=(Lan(), Lan()),
        uplink='quiet = "4 s"',
        story=(
            Online("eth0"),
            Pull("eth0"),
            Online("eth1"),
            Found(
                situation="fail-over",
                state="connectivity online",
                why=online("eth1") + " eth0, the first choice: no carrier; eth1 carries the node since {time}.",
            ),
            Plug("eth0"),
            Found(
                situation="way back",
                state="connectivity online",
                why=online("eth1") + " eth1 carries the node since {time}; back to eth0, the first choice, "
                "after it has been well until {time}.",
            ),
            Online("eth0", says=online("eth0")),
        ),
        states={
            "connectivity": f"{TO_ONLINE} {FAIL_OVER} detaching attaching checking online",
            "interface:eth0": f"{INTERFACE_CHOSEN} no_carrier {INTERFACE_CHOSEN}",
        },
    ),
    Wiring(
        name="the gateway of one of two good NICs dies",
        nics=(Lan(), Lan()),
        uplink='recheck = "1 s"',
        story=(Online("eth0"), GatewayDies("eth0"), Online("eth1")),
        states={"connectivity": f"{TO_ONLINE} {FAIL_OVER}"},
    ),
    Wiring(
        name="the upstream of one of two good NICs dies",
        nics=(Lan(), Lan()),
        uplink='recheck = "1 s"',
        story=(Online("eth0"), UpstreamDies("eth0"), Online("eth1")),
        states={"connectivity": f"{TO_ONLINE} {FAIL_OVER}"},
    ),
    Wiring(
        name="a gateway that dies and comes back, without another way out",
        nics=(Lan(), NoCable()),
        uplink='recheck = "1 s"',
        story=(
            Online("eth0"),
            GatewayDies("eth0"),
            Found(
                state="connectivity degraded",
                warning="no-gateway",
                why="eth0 (uplink): leased {address} but 192.0.2.1 does not answer ARP; eth1: no carrier. "
                "Next try in {duration}.",
            ),
            GatewayHeals("eth0"),
            Online("eth0", says=online("eth0")),
        ),
        states={"connectivity": f"{TO_ONLINE} degraded online"},
    ),
    Wiring(
        name="a NIC that leads nowhere beside one that is slow and good",
        nics=(Lan(dhcp=Dnsmasq(router=9)), Lan(dhcp=Dnsmasq(slow=True))),
        story=(Online("eth1", says=online("eth1")),),
        states={"connectivity": TO_ONLINE},
    ),
)
