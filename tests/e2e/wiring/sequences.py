"""What many wirings have in common: sequences of states, and the sentence of a node that is online. Pure."""

from __future__ import annotations

from tests.e2e.wiring.places import ROUTER_LINK_LOCAL, place_of

# Of connectivity, from power-on. A NIC without carrier at the moment when it is listed may have it right afterwards.
TRYING = "listing waiting? probing"
TO_ONLINE = f"{TRYING} choosing? attaching checking online"
FAIL_OVER = "degraded? detaching (probing choosing?)? attaching checking online"

# Of an IPv4 path whose NIC is chosen as soon as it is proven, beside others, and proven again in the bridge.
CHOSEN = (
    "addressing asking_gateway configuring resolving asking_grid proven asking_gateway resolving asking_grid proven"
)
# Of an IPv4 path whose NIC is the only one with a chance: it goes into the bridge while the grid is being asked.
ALONE = (
    "addressing asking_gateway configuring resolving? asking_grid? proven? asking_gateway resolving asking_grid proven"
)
# The same, up to what was found in the grid's place.
ALONE_UNTIL_GRID = "addressing asking_gateway configuring (resolving | asking_grid | {found} | asking_gateway)+"

INTERFACE_CHOSEN = "carrier probing limited proven selected"
INTERFACE_ALONE = "carrier probing limited proven? selected"
INTERFACE_TRIED = "carrier probing limited? proven? carrier"

BOUND = "selecting requesting checking bound"


def online(nic: str, families: str = "ipv4") -> str:
    """The sentence of a node that is online through this NIC over these families, and registered."""
    gateways = {"ipv4": f"IPv4 ({{address}}, gateway {place_of(nic).router})"}
    gateways["ipv6"] = f"IPv6 ({{address}}, gateway {ROUTER_LINK_LOCAL})"
    over = " and ".join(gateways[family] for family in families.split())
    return f"The node is online through {nic} over {over} since {{time}}; registered with farm 1; no network resources."
