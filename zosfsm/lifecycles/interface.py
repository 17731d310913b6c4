"""What one NIC decides: the guards and actions of states/interface.toml. Pure.

It tries its two paths side by side and sums them up. What it is told, tells and remembers is in interface_data.py.
"""

from __future__ import annotations

from types import NoneType

from attrs import evolve

from zosfsm.fsm.lifecycle import Change, Context, Event, Lifecycle, Tell, Verdict, action, guard, no, yes
from zosfsm.lifecycles.interface_data import (
    Adopted,
    InterfaceData,
    InterfaceReport,
    LinkSeen,
    MakeVlan,
    Probe,
    RemoveVlan,
    Selected,
    VlanMade,
)
from zosfsm.lifecycles.path_data import MovedPath, PathReport, PathStanding, TryPath
from zosfsm.lifecycles.uplink_policy import BOTH_FAMILIES, Family

UNDECIDED = (PathStanding.TRYING, PathStanding.GATEWAY)
WITH_GATEWAY = (PathStanding.GATEWAY, PathStanding.LIMITED)
# How far a path got, the furthest first.
PROGRESS = (PathStanding.PROVEN, PathStanding.LIMITED, PathStanding.GATEWAY, PathStanding.FAILED)

Here = Context[InterfaceData]
Next = Change[InterfaceData]
Paths = tuple[PathReport, ...]


class Interface(Lifecycle[InterfaceData]):
    """The code of states/interface.toml."""

    name = "interface"
    data_type = InterfaceData
    payloads = {
        "seen": LinkSeen,
        "vanished": NoneType,
        "exclude": NoneType,
        "claim": NoneType,
        "unclaim": NoneType,
        "probe": Probe,
        "vlan_ready": VlanMade,
        "vlan_refused": NoneType,
        "path_has_gateway": PathReport,
        "path_proven": PathReport,
        "path_failed": PathReport,
        "path_changed": PathReport,
        "adopt": Adopted,
        "select": Selected,
        "doubt": NoneType,
        "release": NoneType,
        "reject": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> InterfaceData:
        return InterfaceData(key)

    @guard
    def has_carrier(self, context: Here, event: Event) -> Verdict:
        return yes("carrier") if _seen(event).carrier else no("no carrier")

    @guard
    def has_no_carrier(self, context: Here, event: Event) -> Verdict:
        return no("it has carrier") if _seen(event).carrier else yes("no carrier")

    @guard
    def carrier_is_new(self, context: Here, event: Event) -> Verdict:
        if _seen(event).carrier and not context.data.carrier:
            return yes("the carrier is back")
        return no("the carrier is as it was")

    @guard
    def carrier_was_lost(self, context: Here, event: Event) -> Verdict:
        if context.data.carrier and not _seen(event).carrier:
            return yes("the carrier is gone")
        return no("the carrier is as it was")

    @guard
    def nic_has_carrier(self, context: Here, event: Event) -> Verdict:
        return yes("carrier") if context.data.carrier else no("no carrier")

    @guard
    def vlan_is_wanted(self, context: Here, event: Event) -> Verdict:
        probe = _probe(event)
        return no("no VLAN is wanted") if probe.vlan is None else yes(f"VLAN {probe.vlan}")

    @guard
    def the_other_path_proves_the_grid(self, context: Here, event: Event) -> Verdict:
        other = _other(context.data, event)
        if other is not None and other.standing is PathStanding.PROVEN:
            return yes(f"{_told(event).family.value}: {event.reason}; {other.family.value} leads to the grid")
        return no(event.reason)

    @guard
    def a_gateway_still_answers(self, context: Here, event: Event) -> Verdict:
        paths = _with(context.data, event).paths
        if any(path.standing in WITH_GATEWAY for path in paths):
            return yes(_evidence(paths))
        return no(event.reason)

    @guard
    def the_other_path_is_not_decided(self, context: Here, event: Event) -> Verdict:
        other = _other(context.data, event)
        if other is not None and other.standing in UNDECIDED:
            return yes(f"{_told(event).family.value}: {event.reason}; {other.family.value} is being tried")
        return no(event.reason)

    @guard
    def the_other_path_is_near(self, context: Here, event: Event) -> Verdict:
        known, other = _known(context.data, event), _other(context.data, event)
        if known is not None and known.standing is PathStanding.PROVEN:
            return no(event.reason)  # by this family alone the NIC led to the grid: the node is without it now
        if other is not None and other.standing is PathStanding.GATEWAY:
            return yes(f"{_told(event).family.value}: {event.reason}; {other.family.value} has a gateway that answers")
        return no(event.reason)

    @action
    def remember_nic(self, context: Here, event: Event) -> Next:
        seen = _seen(event)
        return Change(evolve(context.data, mac=seen.mac, carrier=seen.carrier))

    @action
    def forget_nic(self, context: Here, event: Event) -> Next:
        return Change(InterfaceData(context.key))

    @action
    def accept_probe(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, probe=_probe(event), path_link=context.key, paths=()))

    @action
    def make_vlan(self, context: Here, event: Event) -> Next:
        vlan = context.data.probe.vlan
        return Change(context.data, (MakeVlan(context.key, vlan),) if vlan is not None else ())

    @action
    def remember_vlan(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, VlanMade)
        return Change(evolve(context.data, path_link=event.data.link))

    @action
    def remove_vlan(self, context: Here, event: Event) -> Next:
        vlan = context.data.probe.vlan
        return Change(context.data, (RemoveVlan(context.key, vlan),) if vlan is not None else ())

    @action
    def try_paths(self, context: Here, event: Event) -> Next:
        return _tried(context, context.data, "try", is_on_bridge=False)

    @action
    def adopt_paths(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Adopted)
        found = event.data
        data = evolve(context.data, mac=found.mac, carrier=True, probe=found.probe, path_link=found.bridge)
        return _tried(context, data, "adopt", is_on_bridge=True)

    @action
    def move_paths(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Selected)
        bridge, mac = event.data.bridge, event.data.mac
        paths = tuple(evolve(path, standing=_expected(path)) for path in context.data.paths)
        data = evolve(context.data, path_link=bridge, paths=paths)
        return Change(data, _to_paths(context, "moved", MovedPath(bridge, mac)))

    @action
    def suspend_paths(self, context: Here, event: Event) -> Next:
        paths = _standing(context.data.paths, PathStanding.FAILED, "no carrier")
        return Change(evolve(context.data, paths=paths), _to_paths(context, "carrier_lost"))

    @action
    def resume_paths(self, context: Here, event: Event) -> Next:
        paths = _standing(context.data.paths, PathStanding.TRYING)
        return Change(evolve(context.data, paths=paths), _to_paths(context, "carrier_back"))

    @action
    def doubt_paths(self, context: Here, event: Event) -> Next:
        return Change(context.data, _to_paths(context, "doubt", reason=event.reason))

    @action
    def stop_paths(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, paths=()), _to_paths(context, "stop"))

    @action
    def end_paths(self, context: Here, event: Event) -> Next:
        # Also those that were tried once and are idle now.
        told = tuple(Tell(_path(context, family), "teardown") for family in BOTH_FAMILIES)
        return Change(evolve(context.data, paths=()), told)

    @action
    def remember_path(self, context: Here, event: Event) -> Next:
        data = _with(context.data, event)
        told = []
        for path in data.paths:
            could_rest, may_rest = _may_rest(context.data.paths, path), _may_rest(data.paths, path)
            if may_rest and not could_rest:
                told.append(Tell(_path(context, path.family), "rest"))
            if could_rest and not may_rest:
                told.append(Tell(_path(context, path.family), "hurry"))
        return Change(data, tuple(told))

    @action
    def report_ready(self, context: Here, event: Event) -> Next:
        return _report(context, "interface_ready", "carrier")

    @action
    def report_limited(self, context: Here, event: Event) -> Next:
        return _report(context, "interface_limited", _evidence(context.data.paths))

    @action
    def report_proven(self, context: Here, event: Event) -> Next:
        return _report(context, "interface_proven", _evidence(context.data.paths))

    @action
    def report_failed(self, context: Here, event: Event) -> Next:
        return _report(context, "interface_failed", _fault(context, event))

    @action
    def report_claimed(self, context: Here, event: Event) -> Next:
        return _report(context, "interface_failed", "it carries the public interface")

    @action
    def report_standing(self, context: Here, event: Event) -> Next:
        if context.state == "proven":
            return self.report_proven(context, event)
        if context.state == "limited":
            return self.report_limited(context, event)
        return self.report_failed(context, event)

    @action
    def report_uplink_works(self, context: Here, event: Event) -> Next:
        return _report(context, "uplink_works", _evidence(context.data.paths))

    @action
    def report_uplink_failed(self, context: Here, event: Event) -> Next:
        return _report(context, "uplink_failed", _evidence(context.data.paths))

    @action
    def report_uplink_changed(self, context: Here, event: Event) -> Next:
        """Before the change is remembered; a family that only fails beside the proven one changes nothing."""
        known, data = _known(context.data, event), _with(context.data, event)
        told = _told(event)
        if known is None or (known.lease, known.router) == (told.lease, told.router):
            return Change(context.data)
        reported = _report(evolve(context, data=data), "uplink_changed", _evidence(data.paths))
        return Change(context.data, reported.effects)


def _seen(event: Event) -> LinkSeen:
    assert isinstance(event.data, LinkSeen)
    return event.data


def _probe(event: Event) -> Probe:
    assert isinstance(event.data, Probe)
    return event.data


def _told(event: Event) -> PathReport:
    assert isinstance(event.data, PathReport)
    return event.data


def _path(context: Here, family: Family) -> str:
    return f"path:{context.key}/{family.value}"


def _tried(context: Here, data: InterfaceData, trigger: str, is_on_bridge: bool) -> Next:
    probe = data.probe
    told = []
    for family in probe.families:
        is_ipv4 = family is Family.IPV4
        tried = TryPath(
            link=data.path_link,
            mac=data.mac,
            is_on_bridge=is_on_bridge,
            previous=probe.previous if is_ipv4 else None,
            static=probe.static if is_ipv4 else None,
            recheck=probe.recheck,
        )
        told.append(Tell(_path(context, family), trigger, tried))
    paths = tuple(PathReport(family, PathStanding.TRYING, "") for family in probe.families)
    return Change(evolve(data, paths=paths), tuple(told))


def _to_paths(context: Here, trigger: str, data: object = None, reason: str = "") -> tuple[Tell, ...]:
    """To those that are being tried."""
    return tuple(Tell(_path(context, path.family), trigger, data, reason) for path in context.data.paths)


def _standing(paths: Paths, standing: PathStanding, reason: str = "") -> Paths:
    return tuple(evolve(path, standing=standing, reason=reason) for path in paths)


def _expected(path: PathReport) -> PathStanding:
    """How a path stands that is proven anew on the bridge: what had a gateway is awaited there."""
    return PathStanding.GATEWAY if path.standing in (*WITH_GATEWAY, PathStanding.PROVEN) else PathStanding.TRYING


def _with(data: InterfaceData, event: Event) -> InterfaceData:
    """The data with what a path has just said; nothing of a path that is not being tried."""
    told = _told(event)
    return evolve(data, paths=tuple(told if path.family is told.family else path for path in data.paths))


def _known(data: InterfaceData, event: Event) -> PathReport | None:
    """What the same path said before, where it is being tried."""
    return next((path for path in data.paths if path.family is _told(event).family), None)


def _other(data: InterfaceData, event: Event) -> PathReport | None:
    """The path of the other family, where it is being tried as well."""
    return next((path for path in data.paths if path.family is not _told(event).family), None)


def _may_rest(paths: Paths, path: PathReport) -> bool:
    return any(other.standing is PathStanding.PROVEN for other in paths if other.family is not path.family)


def _evidence(paths: Paths) -> str:
    """What the path has found that got furthest; of two that got as far, IPv4, which most networks have."""
    known = [path for path in paths if path.standing in PROGRESS]
    if not known:
        return "it is being tried"
    return min(known, key=_distance).reason


def _distance(path: PathReport) -> tuple[int, bool, bool]:
    has_address = path.lease is not None or path.router is not None
    return PROGRESS.index(path.standing), not has_address, path.family is not Family.IPV4


def _fault(context: Here, event: Event) -> str:
    if event.trigger == "vanished":
        return "the NIC was taken out"
    if not context.data.carrier:
        return "no carrier"
    if context.data.paths:
        return _evidence(context.data.paths)
    return event.reason or "the VLAN was not made in time"


def _report(context: Here, trigger: str, reason: str) -> Next:
    data = context.data
    report = InterfaceReport(context.key, data.mac, data.paths, reason, data.carrier)
    return Change(data, (Tell("connectivity", trigger, report, f"{context.key}: {reason}"),))
