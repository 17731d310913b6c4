"""What an interface is told, tells, remembers and wants done. Plain frozen data; no decisions."""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import PathReport, PathStanding, RouterAdvertised
from zosfsm.lifecycles.uplink_policy import BOTH_FAMILIES, Family


@frozen
class LinkSeen:
    """What the kernel says of the NIC."""

    mac: str
    carrier: bool


@frozen
class Probe:
    """How the NIC is to be tried. `previous`: its lease of an earlier start."""

    families: tuple[Family, ...] = BOTH_FAMILIES
    vlan: int | None = None
    static: Lease | None = None
    previous: Lease | None = None
    recheck: timedelta = timedelta(seconds=60)


@frozen
class Adopted:
    """The NIC is in the bridge already; `mac` is both's."""

    bridge: str
    mac: str
    probe: Probe


@frozen
class Selected:
    """The NIC goes into the bridge; `mac` is the bridge's, which is the NIC's."""

    bridge: str
    mac: str


@frozen
class VlanMade:
    """The VLAN's traffic is untagged on this link."""

    link: str


@frozen
class InterfaceReport:
    """What a NIC tells connectivity: itself, how its paths stand, and the evidence of the one that got furthest."""

    link: str
    mac: str
    paths: tuple[PathReport, ...] = ()
    reason: str = ""
    carrier: bool = True

    @property
    def lease(self) -> Lease | None:
        """Of the IPv4 path."""
        return next((path.lease for path in self.paths if path.lease is not None), None)

    @property
    def router(self) -> RouterAdvertised | None:
        """Of the IPv6 path."""
        return next((path.router for path in self.paths if path.router is not None), None)

    @property
    def is_proven(self) -> bool:
        return any(path.standing is PathStanding.PROVEN for path in self.paths)

    @property
    def is_limited(self) -> bool:
        """Does a gateway answer through which the grid is not reached?"""
        return not self.is_proven and any(path.standing is PathStanding.LIMITED for path in self.paths)

    @property
    def is_near(self) -> bool:
        """Does a gateway answer through which the grid is being asked?"""
        return not self.is_proven and any(path.standing is PathStanding.GATEWAY for path in self.paths)


@frozen
class InterfaceData:
    """What is known of a NIC. `path_link` is where its paths are tried: itself, its VLAN's link or the bridge."""

    link: str
    mac: str = ""
    carrier: bool = False
    probe: Probe = Probe()
    path_link: str = ""
    paths: tuple[PathReport, ...] = ()


@frozen
class MakeVlan(Effect):
    """Make a link on which the VLAN of the NIC is untagged; answers vlan_ready or vlan_refused."""

    link: str
    vlan: int


@frozen
class RemoveVlan(Effect):
    """The inverse; nothing to remove is well."""

    link: str
    vlan: int
