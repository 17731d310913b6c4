"""Does one family of addresses on one NIC lead to the grid? The actions and deadlines of states/path.toml. Pure.

The guards are in path_guards.py; what a path finds is put into words in path_evidence.py. Whoever uses a path imports
its data from path_data.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import NoneType

from attrs import evolve

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Tell, action, deadline
from zosfsm.lifecycles.lease_data import Leased, LeaseLost, LeaseStart, Moved, NoLease
from zosfsm.lifecycles.path_data import (
    AskEndpoints,
    ClearTrial,
    ConfigureTrial,
    GatewayFound,
    MovedPath,
    PathData,
    PathReport,
    PathStanding,
    ProveGateway,
    Resolution,
    ResolveNames,
    RouterAdvertised,
    SolicitRouter,
    StopSoliciting,
    TryPath,
)
from zosfsm.lifecycles.path_evidence import evidence, gateway_of, name_servers_of, source_of
from zosfsm.lifecycles.path_guards import PathGuards, advertised, leased, serves
from zosfsm.lifecycles.uplink_policy import Family

# The first solicitation after carrier may be lost, so the second follows at once (RFC 4861 6.3.7 waits 4 s, and gives
# up after three; a node never gives up).
SOLICITATIONS = tuple(timedelta(seconds=seconds) for seconds in (0.25, 1, 2, 4, 8))
SOLICITATION_JITTER = 0.1
# While the other family leads to the grid, a failing one is asked so often and no more.
REST = timedelta(seconds=60)
RECHECK_JITTER = 0.1
LIMITED_STATES = frozenset({"no_names", "lying_names", "captive_portal", "tls_fault", "no_internet"})

Here = Context[PathData]
Next = Change[PathData]


class Path(PathGuards):
    """The code of states/path.toml. The key is the NIC and the family: `eth1/ipv4`."""

    name = "path"
    data_type = PathData
    payloads = {
        "try": TryPath,
        "adopt": TryPath,
        "leased": Leased,
        "lease_changed": Leased,
        "lease_renewed": Leased,
        "lease_lost": LeaseLost,
        "no_lease": NoLease,
        "advertised": RouterAdvertised,
        "soliciting_failed": NoneType,
        "gateway_answers": GatewayFound,
        "gateway_silent": NoneType,
        "configured": NoneType,
        "configuring_failed": NoneType,
        "resolved": Resolution,
        "names_silent": NoneType,
        "names_lie": NoneType,
        "endpoints_answer": NoneType,
        "endpoints_silent": NoneType,
        "portal_found": NoneType,
        "tls_refused": NoneType,
        "doubt": NoneType,
        "rest": NoneType,
        "hurry": NoneType,
        "moved": MovedPath,
        "carrier_lost": NoneType,
        "carrier_back": NoneType,
        "stop": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> PathData:
        link, _, family = key.partition("/")
        return PathData(link, Family.IPV6 if family == Family.IPV6.value else Family.IPV4)

    @deadline
    def next_solicitation(self, context: Here) -> datetime | None:
        return context.data.soliciting

    @deadline
    def router_expiry(self, context: Here) -> datetime | None:
        return context.data.router_expiry

    @deadline
    def next_check(self, context: Here) -> datetime | None:
        return context.data.next_check

    @deadline
    def rest_over(self, context: Here) -> datetime | None:
        return context.data.rest_until

    # Getting an address

    @action
    def accept_try(self, context: Here, event: Event) -> Next:
        told = _told(event)
        return Change(
            PathData(
                link=told.link,
                family=context.data.family,
                mac=told.mac,
                is_on_bridge=told.is_on_bridge,
                static=told.static,
                recheck=told.recheck,
                standing=PathStanding.TRYING,
            )
        )

    @action
    def keep_lease(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, lease=_told(event).previous, is_configured=True))

    @action
    def ask_for_address(self, context: Here, event: Event) -> Next:
        data = context.data
        if data.family is Family.IPV6:
            return _solicited(context, evolve(data, solicitations=0))
        start = LeaseStart(
            link=data.link,
            namespace=None,
            mac=data.mac,
            owner=context.name,
            previous=_told(event).previous,
            install_on=data.link if data.is_on_bridge else None,
            static=data.static,
        )
        return Change(data, (_to_lease(context, "start", start),))

    @action
    def solicit(self, context: Here, event: Event) -> Next:
        return _solicited(context, context.data)

    @action
    def remember_lease(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, lease=leased(event)))

    @action
    def change_lease(self, context: Here, event: Event) -> Next:
        data, effects = _without_trial(context.data)
        return Change(evolve(data, lease=leased(event), gateway_mac="", resolution=None), effects)

    @action
    def doubt_lease(self, context: Here, event: Event) -> Next:
        # Behind a switch a network may be renumbered while the link stays up, or get a gateway: its server says so when
        # it is asked, and half of the lease may be days.
        if context.data.lease is None or context.data.lease.server is None:
            return Change(context.data)
        return Change(context.data, (_to_lease(context, "doubt"),))

    @action
    def forget_address(self, context: Here, event: Event) -> Next:
        data, effects = _without_trial(context.data)
        return Change(evolve(data, lease=None, gateway_mac="", resolution=None), effects)

    @action
    def remember_router(self, context: Here, event: Event) -> Next:
        router, data = advertised(event), context.data
        if serves(router).holds:
            known = evolve(data, router=router, router_expiry=context.now + router.lifetime, soliciting=None)
            return Change(evolve(known, solicitations=0))
        soliciting = data.soliciting or context.now + _step(context, 0)
        return Change(evolve(data, router=router, router_expiry=None, soliciting=soliciting))

    @action
    def forget_router(self, context: Here, event: Event) -> Next:
        soliciting = context.now + _step(context, 0)
        return Change(
            evolve(
                context.data, router=None, router_expiry=None, gateway_mac="", soliciting=soliciting, solicitations=0
            )
        )

    # Proving it

    @action
    def ask_gateway(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, rest_until=None)
        source, gateway = source_of(data), gateway_of(data)
        if source is None or gateway is None:
            return Change(data)
        return Change(data, (ProveGateway(data.link, data.mac, source, gateway),))

    @action
    def remember_gateway(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, GatewayFound)
        return Change(evolve(context.data, gateway_mac=event.data.mac))

    @action
    def configure(self, context: Here, event: Event) -> Next:
        data = context.data
        if data.lease is None:
            return Change(data)
        return Change(evolve(data, is_configured=True), (ConfigureTrial(data.link, data.lease),))

    @action
    def unconfigure(self, context: Here, event: Event) -> Next:
        data, effects = _without_trial(context.data)
        return Change(data, effects)

    @action
    def resolve_names(self, context: Here, event: Event) -> Next:
        data = context.data
        return Change(data, (ResolveNames(data.link, data.family, name_servers_of(data)),))

    @action
    def remember_resolution(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Resolution)
        return Change(evolve(context.data, resolution=event.data))

    @action
    def ask_endpoints(self, context: Here, event: Event) -> Next:
        data = context.data
        resolution = data.resolution or Resolution(())
        asked = AskEndpoints(data.link, data.family, name_servers_of(data), resolution, gateway_of(data))
        return Change(data, (asked,))

    @action
    def remember_check(self, context: Here, event: Event) -> Next:
        drawn = context.random(f"recheck/{context.now.isoformat()}").uniform(-1, 1)
        due = context.now + context.data.recheck * (1 + RECHECK_JITTER * drawn)
        return Change(evolve(context.data, was_proven=True, proven_at=context.now, next_check=due))

    @action
    def forget_proof(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, was_proven=False, next_check=None))

    @action
    def rest(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, is_resting=True))

    @action
    def rest_longer(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, rest_until=context.now + REST))

    @action
    def hurry(self, context: Here, event: Event) -> Next:
        data = context.data
        soliciting = context.now + _step(context, 0) if data.soliciting else None
        return Change(evolve(data, is_resting=False, rest_until=None, soliciting=soliciting, solicitations=0))

    # What its interface hears

    @action
    def report_gateway(self, context: Here, event: Event) -> Next:
        # A path that was judged before is told of again when there is another judgement.
        if context.data.standing in (PathStanding.GATEWAY, PathStanding.LIMITED, PathStanding.PROVEN):
            return Change(context.data)
        data = evolve(context.data, standing=PathStanding.GATEWAY)
        return Change(data, (_report(context, data, "path_has_gateway", "the gateway answers"),))

    @action
    def report_proven(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, standing=PathStanding.PROVEN, fault="")
        return Change(data, (_report(context, data, "path_proven", event.reason or "the grid answers"),))

    @action
    def report_failed(self, context: Here, event: Event) -> Next:
        known, fault = context.data, evidence(context, event)
        standing = PathStanding.LIMITED if context.state in LIMITED_STATES else PathStanding.FAILED
        data = evolve(known, standing=standing, fault=fault, was_proven=False, next_check=None)
        if (known.standing, known.fault) == (standing, fault):
            return Change(data)
        return Change(data, (_report(context, data, "path_failed", fault),))

    @action
    def report_again(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, standing=PathStanding.FAILED)
        return Change(data, (_report(context, data, "path_failed", data.fault),))

    @action
    def report_changed(self, context: Here, event: Event) -> Next:
        # What is wrong with a path stays wrong while its lease is renewed.
        reason = context.data.fault or event.reason or "the address, the gateway or the lease is another"
        return Change(context.data, (_report(context, context.data, "path_changed", reason),))

    # The link

    @action
    def move(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, MovedPath)
        link, mac = event.data.link, event.data.mac
        standing = PathStanding.TRYING
        if context.data.family is Family.IPV6:
            stop = StopSoliciting(context.data.link, context.data.is_on_bridge)
            solicited = _solicited(context, _moved(_without_router(context.data), link, mac))
            return Change(evolve(solicited.data, standing=standing), (stop, *solicited.effects))
        data, cleared = _without_trial(context.data)
        moved = evolve(_moved(data, link, mac), is_configured=data.lease is not None, standing=standing)
        return Change(moved, (*cleared, _to_lease(context, "moved", Moved(link, mac))))

    @action
    def suspend_lease(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, is_resting=False, rest_until=None)
        if data.family is Family.IPV6:
            return Change(data)
        return Change(data, (_to_lease(context, "carrier_lost"),))

    @action
    def resume_lease(self, context: Here, event: Event) -> Next:
        data = evolve(context.data, standing=PathStanding.TRYING)
        if data.family is Family.IPV6:
            return _solicited(context, _without_router(data))
        return Change(data, (_to_lease(context, "carrier_back"),))

    @action
    def leave_clean(self, context: Here, event: Event) -> Next:
        data, empty = context.data, self.initial(context.key)
        if data.family is Family.IPV6:
            return Change(empty, (StopSoliciting(data.link, data.is_on_bridge),))
        _, cleared = _without_trial(data)
        return Change(empty, (*cleared, _to_lease(context, "teardown")))


def _told(event: Event) -> TryPath:
    assert isinstance(event.data, TryPath)
    return event.data


def _to_lease(context: Here, trigger: str, data: object = None) -> Tell:
    return Tell(f"lease:{_nic(context)}", trigger, data)


def _report(context: Here, data: PathData, trigger: str, reason: str) -> Tell:
    report = PathReport(data.family, data.standing, reason, data.lease, data.router)
    return Tell(f"interface:{_nic(context)}", trigger, report, reason)


def _nic(context: Here) -> str:
    return context.key.partition("/")[0]


def _solicited(context: Here, data: PathData) -> Next:
    # The first few are never saved: a router that is there answers them.
    may_rest = data.is_resting and data.solicitations >= len(SOLICITATIONS) - 1
    due = context.now + (REST if may_rest else _step(context, data.solicitations))
    asked = evolve(data, soliciting=due, solicitations=data.solicitations + 1)
    return Change(asked, (SolicitRouter(data.link, data.is_on_bridge),))


def _step(context: Here, solicitations: int) -> timedelta:
    step = SOLICITATIONS[min(solicitations, len(SOLICITATIONS) - 1)]
    drawn = context.random(f"solicit/{context.now.isoformat()}").uniform(-1, 1)
    return step * (1 + SOLICITATION_JITTER * drawn)


def _without_trial(data: PathData) -> tuple[PathData, tuple[Effect, ...]]:
    """What is left when the trial address is taken from the NIC; on the bridge the lease's client looks after it."""
    if data.is_on_bridge or not data.is_configured or data.lease is None:
        return data, ()
    return evolve(data, is_configured=False), (ClearTrial(data.link, data.lease),)


def _without_router(data: PathData) -> PathData:
    return evolve(data, router=None, router_expiry=None, gateway_mac="", resolution=None, solicitations=0)


def _moved(data: PathData, link: str, mac: str) -> PathData:
    return evolve(data, link=link, mac=mac, is_on_bridge=True, is_resting=False, rest_until=None)
