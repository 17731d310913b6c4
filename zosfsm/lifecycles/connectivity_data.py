"""What the node's way out is made of: what connectivity is told, remembers and wants done. Plain frozen data."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.lease_terms import Lease


class Standing(Enum):
    """What is known of a NIC's chances."""

    UNPLUGGED = "no carrier"
    READY = "ready"
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
    """One NIC and its chances."""

    name: str
    standing: Standing
    reason: str


@frozen
class Uplink:
    """The NIC that carries the node, and its lease."""

    link: str
    mac: str
    lease: Lease


@frozen
class ConnectivityData:
    """`current` is the NIC under test or in use; `candidates` are in the order in which they are tried.

    `silences` counts the checks that the grid did not answer while the node was online.
    """

    candidates: tuple[Candidate, ...] = ()
    current: str = ""
    uplink: Uplink | None = None
    next_check: datetime | None = None
    silences: int = 0
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
    """Put the NIC into the bridge, with its MAC, its address and its route; answers attached or attach_failed."""

    bridge: str
    uplink: Uplink


@frozen
class DetachUplink(Effect):
    """Take whatever NIC out of the bridge, and its addresses off it; answers detached or detach_failed."""

    bridge: str


@frozen
class RemoveUplink(Effect):
    """Remove the bridge and switch off the NICs that were off; answers removed or removal_failed."""

    bridge: str
    switch_off: tuple[str, ...]


@frozen
class CheckInternet(Effect):
    """Ask the grid for an answer; answers internet_answers or internet_silent."""
