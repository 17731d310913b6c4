"""Wirings that are about NICs and their cables: none, unplugged, plugged in later, many, unwanted, tagged."""

from __future__ import annotations

from tests.e2e.wiring.findings import Found, In, Online
from tests.e2e.wiring.happenings import Flap, NicComes, NicGoes, Pass, Plug, Pull
from tests.e2e.wiring.networks import Dnsmasq, Lan, NobodyThere, NoCable
from tests.e2e.wiring.sequences import (
    ALONE,
    FAIL_OVER,
    INTERFACE_ALONE,
    INTERFACE_CHOSEN,
    INTERFACE_TRIED,
    TO_ONLINE,
    online,
)
from tests.e2e.wiring.wiring import Wiring

CABLES = (
    Wiring(
        name="a machine without any NIC, into which one is put",
        nics=(),
        story=(
            Found(
                situation="no NIC",
                state="connectivity waiting",
                warning="no-nic",
                why="The node is not online: the machine has no NIC. "
                "Next try in {duration}, or as soon as there is a NIC.",
            ),
            NicComes("eth0"),
            In("interface:eth0", "no_carrier"),
        ),
        states={"connectivity": "listing (waiting listing)* waiting", "interface:eth0": "no_carrier"},
    ),
    Wiring(
        name="three NICs without a cable",
        nics=(NoCable(), NoCable(), NoCable()),
        story=(
            Found(
                situation="no cable",
                state="connectivity waiting",
                warning="no-carrier",
                why="eth0, eth1 and eth2: no carrier. Next try in {duration}, or as soon as a cable is plugged in.",
            ),
        ),
        states={"connectivity": "listing (waiting listing)* waiting", "interface:eth2": "no_carrier"},
    ),
    Wiring(
        name="a cable that is plugged in after a while",
        nics=(NoCable(), Lan(plugged=False)),
        story=(
            Found(
                state="connectivity waiting",
                warning="no-carrier",
                why="eth0 and eth1: no carrier. Next try in {duration}, or as soon as a cable is plugged in.",
            ),
            Pass(2),
            Plug("eth1"),
            Online("eth1", says=online("eth1")),
        ),
        states={
            "connectivity": "listing (waiting listing)* waiting probing choosing? attaching checking online",
            "interface:eth1": f"no_carrier {INTERFACE_ALONE}",
            "path:eth1/ipv4": ALONE,
        },
    ),
    Wiring(
        name="the uplink's cable is pulled and plugged in again, and there is no other",
        nics=(Lan(),),
        story=(
            Online("eth0"),
            Pull("eth0"),
            Found(
                situation="uplink unplugged",
                state="connectivity degraded",
                warning="no-carrier",
                why="eth0 (uplink): no carrier. The next try begins as soon as a cable is plugged in.",
            ),
            Plug("eth0"),
            Online("eth0", says=online("eth0")),
        ),
        states={
            "connectivity": f"{TO_ONLINE} degraded online",
            "path:eth0/ipv4": f"{ALONE} suspended asking_gateway resolving asking_grid proven",
        },
    ),
    Wiring(
        name="sixteen NICs, of which one leads anywhere",
        nics=(*[NobodyThere()] * 8, *[NoCable()] * 3, Lan(), *[NobodyThere()] * 4),
        story=(Online("eth11", says=online("eth11")),),
        states={
            "connectivity": TO_ONLINE,
            "interface:eth11": INTERFACE_CHOSEN,
            "interface:eth3": "carrier probing carrier",
            "path:eth3/ipv4": "addressing idle",
        },
    ),
    Wiring(
        name="of two good NICs the preferred one",
        nics=(Lan(), Lan()),
        words="nic:prefer=eth1",
        story=(Online("eth1", says=online("eth1")),),
        states={"connectivity": TO_ONLINE, "interface:eth0": INTERFACE_TRIED, "interface:eth1": INTERFACE_CHOSEN},
    ),
    Wiring(
        name="of two good NICs the one that is not excluded",
        nics=(Lan(), Lan(dhcp=Dnsmasq(slow=True))),
        words="nic:exclude=eth0",
        story=(
            Found(
                situation="NIC excluded",
                state="interface:eth0 excluded",
                why="eth0: excluded by command line or configuration; "
                "eth1: waiting for a server's OFFER (for {duration}). Next try in {duration}.",
            ),
            Online("eth1", says=online("eth1")),
        ),
        states={"connectivity": TO_ONLINE, "interface:eth0": "carrier? excluded", "path:eth0/ipv4": ""},
    ),
    Wiring(
        name="a link that flaps",
        nics=(Lan(), Lan()),
        uplink='quiet = "1 min"',
        story=(Online("eth0"), Flap("eth0", times=8), Pass(1), Online("eth0 eth1")),
        # Whichever carries the node afterwards: it has not moved more than once or twice.
        states={"connectivity": f"{TO_ONLINE} (degraded online)* ({FAIL_OVER} (degraded online)*)?"},
    ),
    Wiring(
        name="a NIC that is taken out of the running machine",
        nics=(Lan(), Lan()),
        story=(Online("eth0"), NicGoes("eth0"), Online("eth1", says="{any}")),
        states={"interface:eth0": f"{INTERFACE_CHOSEN} absent"},
    ),
    Wiring(
        name="a wrong word on the kernel command line",
        nics=(Lan(),),
        words="vlan:priv=5000",
        story=(
            Online("eth0"),
            Found(
                situation="wrong command line",
                state="connectivity online",
                warning="command-line",
                why=online("eth0") + " vlan:priv= is a VLAN from 1 to 4094, found '5000'; it is ignored; "
                "correct it [command-line].",
            ),
        ),
        states={"connectivity": TO_ONLINE},
    ),
    Wiring(
        name="an uplink on a VLAN",
        nics=(Lan(vlan=100),),
        words="vlan:priv=100",
        needs_vlans=True,
        story=(Online("eth0", says=online("eth0")),),
        states={"connectivity": TO_ONLINE, "interface:eth0": "carrier tagging probing limited proven? selected"},
    ),
    Wiring(
        name="an uplink on a VLAN, on a kernel that knows no VLANs",
        nics=(Lan(),),
        words="vlan:priv=100",
        needs_vlans=False,
        story=(
            Found(
                situation="VLAN refused",
                state="interface:eth0 rejected",
                warning="no-vlan",
                why="eth0: cannot make VLAN 100 of eth0: the kernel has neither 8021q (CONFIG_VLAN_8021Q) nor bridges "
                "with VLAN filtering (bridge with CONFIG_BRIDGE_VLAN_FILTERING); load one of these modules, "
                "or use the NIC without a VLAN. Next try in {duration}.",
            ),
        ),
        states={"interface:eth0": "carrier tagging rejected (tagging rejected)*"},
    ),
)
