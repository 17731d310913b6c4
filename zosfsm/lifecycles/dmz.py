"""The users' networks' common way out: the guards and actions of states/dmz.toml. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes
from zosfsm.lifecycles.lease_data import Leased, LeaseLost, LeaseStart, NoLease
from zosfsm.lifecycles.lease_terms import Lease

NAMESPACE = "ndmz"
UPLINK = "public"


@frozen
class DmzBuilt:
    """The DMZ stands; `mac` is its uplink's, made from the node id so that it leases the same address for ever."""

    mac: str


@frozen
class WayOut:
    """The uplink behind which the DMZ is: its NIC, and the farmer's network that the NIC leads to."""

    link: str
    network: IPv4Network


@frozen
class DmzData:
    """The lease outlives restarts: it is asked for again first, behind the same uplink."""

    mac: str = ""
    lease: Lease | None = None
    way_out: WayOut | None = None


@frozen
class BuildDmz(Effect):
    """Make the namespace, its links and its firewall, closed towards the farmer's networks as far as they are known.

    Answers built or step_failed.
    """

    farmer_networks: tuple[IPv4Network, ...] = ()


@frozen
class SecureDmz(Effect):
    """Close the firewall towards these networks of the farmer; answers secured or step_failed."""

    farmer_networks: tuple[IPv4Network, ...]


@frozen
class RemoveDmz(Effect):
    """Remove the namespace and its links; answers gone or step_failed."""


Here = Context[DmzData]
Next = Change[DmzData]


class Dmz(Lifecycle[DmzData]):
    """The code of states/dmz.toml."""

    name = "dmz"
    data_type = DmzData
    payloads = {
        "start": NoneType,
        "connected": WayOut,
        "built": DmzBuilt,
        "step_failed": NoneType,
        "leased": Leased,
        "lease_changed": Leased,
        "lease_renewed": Leased,
        "lease_lost": LeaseLost,
        "no_lease": NoLease,
        "secured": NoneType,
        "teardown": NoneType,
        "gone": NoneType,
    }

    def initial(self, key: str) -> DmzData:
        return DmzData()

    @guard
    def way_out_is_another(self, context: Here, event: Event) -> Verdict:
        found, known = _way_out(event), context.data.way_out
        if known is None or known == found:
            return no(f"the uplink is {found.link} in {found.network}, as before")
        return yes(f"the uplink was {known.link} in {known.network} and is {found.link} in {found.network} now")

    @action
    def remember_way_out(self, context: Here, event: Event) -> Next:
        found = _way_out(event)
        lease = context.data.lease if context.data.way_out in (None, found) else None
        return Change(evolve(context.data, way_out=found, lease=lease))

    @action
    def build(self, context: Here, event: Event) -> Next:
        return Change(context.data, (BuildDmz(_farmer_networks(context.data)),))

    @action
    def start_lease(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, DmzBuilt)
        start = LeaseStart(
            link=UPLINK,
            namespace=NAMESPACE,
            mac=event.data.mac,
            owner=context.name,
            previous=context.data.lease,
            install_on=UPLINK,
        )
        return Change(evolve(context.data, mac=event.data.mac), (Tell(f"lease:{NAMESPACE}", "start", start),))

    @action
    def end_lease(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell(f"lease:{NAMESPACE}", "teardown"),))

    @action
    def remember_lease(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Leased)
        return Change(evolve(context.data, lease=event.data.lease))

    @action
    def secure(self, context: Here, event: Event) -> Next:
        return Change(context.data, (SecureDmz(_farmer_networks(context.data)),))

    @action
    def remove(self, context: Here, event: Event) -> Next:
        return Change(context.data, (RemoveDmz(),))


def _farmer_networks(data: DmzData) -> tuple[IPv4Network, ...]:
    """The uplink's own network, and that of the DMZ's lease, which a DHCP server may have cut otherwise."""
    known = [data.way_out.network] if data.way_out else []
    known += [data.lease.address.network] if data.lease else []
    return tuple(dict.fromkeys(known))


def _way_out(event: Event) -> WayOut:
    assert isinstance(event.data, WayOut)
    return event.data
