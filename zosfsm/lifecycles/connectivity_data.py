"""What the node's way out is made of: what connectivity is told, remembers and wants done. Plain frozen data."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from attrs import field, frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import RouterAdvertised
from zosfsm.lifecycles.uplink_policy import UplinkPolicy


class Standing(Enum):
    """What is known of a NIC's chances.

    READY: it has carrier, and is being tried or may be. NEAR: its gateway answers, and the grid is being asked through
    it. LIMITED: its gateway answers, and the grid is not reached through it.
    """

    EXCLUDED = "excluded"
    UNPLUGGED = "no carrier"
    READY = "ready"
    NEAR = "near"
    LIMITED = "limited"
    PROVEN = "proven"
    FAILED = "failed"


@frozen
class Nic:
    """One NIC as the kernel lists it; `in_bridge` where an earlier start has left it in the bridge."""

    name: str
    mac: str
    carrier: bool
    in_bridge: bool = False


@frozen
class NicsListed:
    """All NICs of the machine, switched on; `switched_on` names those that were off before."""

    nics: tuple[Nic, ...]
    switched_on: tuple[str, ...] = ()


@frozen
class Candidate:
    """One NIC and its chances. `since`: when it got its present standing; `lease`: what its IPv4 path has.

    `carrier_since`: since when it has had carrier without interruption, None without carrier.
    """

    name: str
    mac: str
    standing: Standing
    reason: str
    since: datetime
    lease: Lease | None = None
    router: RouterAdvertised | None = None
    carrier_since: datetime | None = None


@frozen
class Uplink:
    """The NIC that carries the node, and what it has; `vlan`: its frames in the bridge's uplink are tagged with it."""

    link: str
    mac: str
    lease: Lease | None
    router: RouterAdvertised | None = None
    vlan: int | None = None


@frozen
class ConnectivityData:
    """`current` is the NIC in use or about to be; `candidates` are in the order of their names.

    `last_good` is the uplink through which the grid answered last, also after a reboot. `first_choice` is the NIC
    that was chosen when all could be: the node goes back to it. `settled_by` is when the best NIC so far is taken,
    whatever the others do. `moved_at` and `moves`: the last changes of NIC. `return_tried_at` and `return_tries`: when
    and how often in a row the NIC of first choice was tried beside the uplink, in vain.
    """

    policy: UplinkPolicy = field(factory=UplinkPolicy)
    candidates: tuple[Candidate, ...] = ()
    current: str = ""
    uplink: Uplink | None = None
    last_good: Uplink | None = None
    first_choice: str = ""
    settled_by: datetime | None = None
    moved_at: datetime | None = None
    moves: int = 0
    return_tried_at: datetime | None = None
    return_tries: int = 0
    switched_on: tuple[str, ...] = ()


@frozen
class ListNics(Effect):
    """Switch all NICs on and list them; answers nics_listed or listing_failed."""


@frozen
class InspectUplink(Effect):
    """Is this uplink still in place? Answers uplink_intact or uplink_gone."""

    bridge: str
    uplink: Uplink


@frozen
class AttachUplink(Effect):
    """Put the NIC into the bridge, with its MAC, VLAN, IPv4 address and route; answers attached or attach_failed."""

    bridge: str
    uplink: Uplink


@frozen
class DetachUplink(Effect):
    """Take whatever NIC out of the bridge, and its addresses off it; answers detached or detach_failed."""

    bridge: str


@frozen
class RemoveUplink(Effect):
    """Remove the bridge and switch off the NICs that were off; answers removed or removal_failed.

    `leave_alone` are the NICs that the node was not to touch, by name or MAC: whoever tears down need not know them.
    """

    bridge: str
    switch_off: tuple[str, ...]
    leave_alone: tuple[str, ...] = ()
