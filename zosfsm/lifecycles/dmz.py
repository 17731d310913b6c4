"""The users' networks' common way out: the guards and actions of states/dmz.toml. Pure."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes
from zosfsm.lifecycles.lease_data import Leased, LeaseLost, LeaseStart, NoLease
from zosfsm.lifecycles.lease_terms import Lease

NAMESPACE = "ndmz"
UPLINK = "public"


class WayKind(Enum):
    """By which kind of way users' networks leave.

    LEASE: over the uplink's bridge, with an IPv4 lease of the DMZ's own, and by IPv6 where a router advertises it.
    ROUTER: the same without IPv4: no DHCP server is waited for.   PUBLIC: through the namespace `public`.
    """

    LEASE = "lease"
    ROUTER = "router"
    PUBLIC = "public"


@frozen
class WayOut:
    """A way out for the DMZ, told with `connected`.

    `link` is the uplink's NIC, "public" for the namespace; `networks` are the farmer's own that it leads to, which
    users must not reach: those of the addresses that the node has there.
    """

    kind: WayKind
    link: str
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


@frozen
class DmzBuilt:
    """The DMZ stands; `mac` is its uplink's, made from the node id so that it leases the same address for ever."""

    mac: str


@frozen
class DmzData:
    """The lease outlives restarts: it is asked for again first, behind the same uplink.

    `uplink` is the way that connectivity told last; while there is a `public` one, that is taken.
    """

    mac: str = ""
    lease: Lease | None = None
    uplink: WayOut | None = None
    public: WayOut | None = None

    @property
    def way_out(self) -> WayOut | None:
        """The way that is taken."""
        return self.public or self.uplink


@frozen
class BuildDmz(Effect):
    """Make the namespace, its links and its firewall, closed towards the farmer's networks as far as they are known.

    What was made for a way of another kind is replaced. Answers built or step_failed.
    """

    way: WayKind
    farmer_networks: tuple[IPv4Network | IPv6Network, ...] = ()


@frozen
class AwaitRouter(Effect):
    """Wait until a router has given the DMZ an IPv6 address and a default route; answers routed or step_failed."""


@frozen
class SecureDmz(Effect):
    """Close the firewall towards these networks of the farmer; answers secured or step_failed."""

    way: WayKind
    farmer_networks: tuple[IPv4Network | IPv6Network, ...] = ()


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
        "public_gone": NoneType,
        "built": DmzBuilt,
        "step_failed": NoneType,
        "leased": Leased,
        "lease_changed": Leased,
        "lease_renewed": Leased,
        "lease_lost": LeaseLost,
        "no_lease": NoLease,
        "routed": NoneType,
        "secured": NoneType,
        "teardown": NoneType,
        "gone": NoneType,
    }

    def initial(self, key: str) -> DmzData:
        return DmzData()

    @guard
    def way_out_is_another(self, context: Here, event: Event) -> Verdict:
        known, found = context.data.way_out, _remembering(context.data, event).way_out
        if known is None or found is None or _essence(known) == _essence(found):
            return no(f"the way out is {_named(found)}, as before")
        return yes(f"the way out was {_named(known)} and is {_named(found)} now")

    @guard
    def networks_are_others(self, context: Here, event: Event) -> Verdict:
        known, found = _farmer_networks(context.data), _farmer_networks(_remembering(context.data, event))
        if known == found:
            return no(f"the farmer's networks are {_listed(known)}, as before")
        return yes(f"the farmer's networks were {_listed(known)} and are {_listed(found)} now")

    @guard
    def leads_through_public(self, context: Here, event: Event) -> Verdict:
        way = context.data.way_out
        is_public = way is not None and way.kind is WayKind.PUBLIC
        return yes("users' networks leave through public") if is_public else no(f"the way out is {_named(way)}")

    @guard
    def uplink_is_known(self, context: Here, event: Event) -> Verdict:
        uplink = context.data.uplink
        return no("no uplink was told of yet") if uplink is None else yes(f"there is the uplink {_named(uplink)}")

    @guard
    def needs_a_lease(self, context: Here, event: Event) -> Verdict:
        way = context.data.way_out
        is_leased = way is not None and way.kind is WayKind.LEASE
        return yes("the uplink has IPv4") if is_leased else no(f"no lease is asked for: the way out is {_named(way)}")

    @guard
    def needs_a_router(self, context: Here, event: Event) -> Verdict:
        way = context.data.way_out
        is_routed = way is not None and way.kind is WayKind.ROUTER
        return (
            yes("the uplink has IPv6 only")
            if is_routed
            else no(f"no router is waited for: the way out is {_named(way)}")
        )

    @action
    def remember_way_out(self, context: Here, event: Event) -> Next:
        return Change(_remembering(context.data, event))

    @action
    def forget_public(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, public=None))

    @action
    def build(self, context: Here, event: Event) -> Next:
        return Change(context.data, (BuildDmz(_kind(context.data), _farmer_networks(context.data)),))

    @action
    def await_router(self, context: Here, event: Event) -> Next:
        return Change(context.data, (AwaitRouter(),))

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
        return Change(context.data, (SecureDmz(_kind(context.data), _farmer_networks(context.data)),))

    @action
    def remove(self, context: Here, event: Event) -> Next:
        return Change(context.data, (RemoveDmz(),))


def _remembering(data: DmzData, event: Event) -> DmzData:
    """The data with the way that was told."""
    found = event.data
    assert isinstance(found, WayOut)
    if found.kind is WayKind.PUBLIC:
        return evolve(data, public=found)
    return evolve(data, uplink=found, lease=None if _is_worthless(data, found) else data.lease)


def _is_worthless(data: DmzData, found: WayOut) -> bool:
    """Whether the lease is of another network than the one that was found; without IPv4 nobody can tell."""
    if data.lease is None or data.uplink is None or found.kind is not WayKind.LEASE:
        return False
    if data.uplink.link != found.link:
        return True
    address = data.lease.address.ip
    return _essence(data.uplink) != _essence(found) and not any(address in network for network in found.networks)


def _kind(data: DmzData) -> WayKind:
    assert data.way_out is not None  # it is built for none
    return data.way_out.kind


def _farmer_networks(data: DmzData) -> tuple[IPv4Network | IPv6Network, ...]:
    """Those of all ways, taken or not, and that of the DMZ's lease, which a DHCP server may have cut otherwise."""
    known = [network for way in (data.uplink, data.public) if way is not None for network in way.networks]
    known += [data.lease.address.network] if data.lease else []
    return tuple(dict.fromkeys(known))


def _essence(way: WayOut) -> tuple[WayKind, str, tuple[IPv4Network, ...]]:
    """What makes it another way, for which all is made anew: IPv6 networks come and go on the same way."""
    return way.kind, way.link, tuple(network for network in way.networks if isinstance(network, IPv4Network))


def _named(way: WayOut | None) -> str:
    if way is None:
        return "none"
    if way.kind is WayKind.PUBLIC:
        return "the namespace public"
    return f"{way.link} in {_listed(way.networks)}" + (", IPv6 only" if way.kind is WayKind.ROUTER else "")


def _listed(networks: tuple[IPv4Network | IPv6Network, ...]) -> str:
    return ", ".join(str(network) for network in networks) or "no known network"
