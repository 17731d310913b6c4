"""What each machine contributes to the status document. Pure; no secret is ever read here, sealed keys neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from attrs import frozen

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.connectivity import BRIDGE, explained
from zosfsm.lifecycles.connectivity_data import ConnectivityData, Uplink
from zosfsm.lifecycles.interface_data import InterfaceData
from zosfsm.lifecycles.lease_data import LeaseData
from zosfsm.lifecycles.path_data import PathData, PathStanding
from zosfsm.lifecycles.path_evidence import gateway_of, name_servers_of, source_of
from zosfsm.lifecycles.public_data import PublicData
from zosfsm.lifecycles.public_rules import told
from zosfsm.lifecycles.registration import RegistrationData
from zosfsm.lifecycles.resource import ResourceData
from zosfsm.lifecycles.uplink_policy import Family
from zosfsm.lifecycles.workload_data import WorkloadData
from zosfsm.node.configuration import Configuration
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.peer_status import peer_entries
from zosfsm.node.status_entries import (
    CensusEntry,
    FamilyEntry,
    InterfaceEntry,
    LeaseEntry,
    MachineEntry,
    ResourceEntry,
    RouterEntry,
    UplinkEntry,
    WarningEntry,
    WorkloadEntry,
)
from zosfsm.node.warning_codes import CODES, code_of, sentence
from zosfsm.node.workload_names import workload_of

SINGLETONS = ("connectivity", "registration", "polling", "delivery", "public", "dmz")
ONLINE = "online"
UPLINK_IN_PLACE = frozenset({"checking", "online", "degraded"})
FAULTY = (PathStanding.LIMITED, PathStanding.FAILED)
BACKED_OFF = frozenset({"failed", "damaged", "declining", "backing_off", "undo_blocked", "leave_blocked"})
UNTRIED = frozenset({"idle", "ended"})


@frozen
class Fault:
    """Something that no machine knows of itself: a fault in the program, a stored machine that cannot be used."""

    code: str
    machine: str
    sentence: str


def machine_entry(instance: Instance, definition: MachineDefinition) -> MachineEntry:
    """Any machine that is alive."""
    due = instance.deadline
    return MachineEntry(
        state=instance.state,
        kind=definition.states[instance.state].kind.value,
        since=instance.since,
        event=instance.event,
        attempt=instance.attempt,
        deadline=due[0] if due else None,
        reason=_reason(instance),
    )


def unborn_entry(definition: MachineDefinition, started: datetime) -> MachineEntry:
    """A machine that has not heard anything yet."""
    return MachineEntry(definition.initial, definition.states[definition.initial].kind.value, started)


def ended_entry(definition: MachineDefinition, ended: datetime) -> MachineEntry:
    """A machine that was torn down."""
    last = definition.states[definition.teardown]
    return MachineEntry(last.name, last.kind.value, ended, "teardown", reason=last.sentence)


def interface_entry(instance: Instance, ipv4: FamilyEntry | None, ipv6: FamilyEntry | None) -> InterfaceEntry:
    """A NIC, with what is known of its two paths."""
    data = instance.data
    assert isinstance(data, InterfaceData)
    return InterfaceEntry(
        name=data.link,
        mac=data.mac or None,
        state=instance.state,
        carrier=data.carrier,
        reason=instance.reason,
        ipv4=ipv4,
        ipv6=ipv6,
    )


def family_entry(instance: Instance) -> FamilyEntry | None:
    """A path; None for any other machine, and for a path that is not being tried."""
    data = instance.data
    if not isinstance(data, PathData) or instance.state in UNTRIED:
        return None
    return FamilyEntry(
        state=instance.state,
        standing=data.standing.value,
        address=source_of(data),
        gateway=gateway_of(data),
        gateway_mac=data.gateway_mac or None,
        name_servers=name_servers_of(data),
        reason=instance.reason,
        fault=data.fault if data.standing in FAULTY else "",
    )


def resource_entry(instance: Instance, sight: NetworkSight | None) -> ResourceEntry | None:
    """A network resource; None for any other machine."""
    data = instance.data
    if not isinstance(data, ResourceData):
        return None
    facts = data.present
    network = facts.network if facts else None
    return ResourceEntry(
        id=instance.name.partition(":")[2],
        name=network.name if network else None,
        user=facts.user_id if facts else None,
        reservation=facts.reservation_id if facts else None,
        state=instance.state,
        subnet=network.subnet if network else None,
        range=network.ip_range if network else None,
        port=data.place.listen_port if data.place else None,
        dmz_address=data.place.dmz_address if data.place else None,
        since=instance.since,
        built=data.built,
        expiry=facts.expiry if facts else None,
        seen=sight.at if sight else None,
        peers=peer_entries(data, sight),
        reason=_evidence(instance),
    )


def workload_entry(instance: Instance) -> WorkloadEntry | None:
    """What is in a network resource; None for any other machine."""
    data = instance.data
    if not isinstance(data, WorkloadData):
        return None
    return WorkloadEntry(
        name=workload_of(instance.name)[1] or None,
        state=instance.state,
        addresses=(data.place.address, data.place.ula) if data.place else (),
        since=instance.since,
        reason=_evidence(instance),
    )


def uplink_entry(instances: Mapping[str, Instance]) -> UplinkEntry | None:
    """The way out, while it is in place."""
    connectivity = instances.get("connectivity")
    if connectivity is None or connectivity.state not in UPLINK_IN_PLACE:
        return None
    data = connectivity.data
    assert isinstance(data, ConnectivityData)
    if data.uplink is None:
        return None
    return UplinkEntry(
        bridge=BRIDGE,
        link=data.uplink.link,
        mac=data.uplink.mac,
        vlan=data.uplink.vlan,
        ipv4=_lease_entry(data.uplink, instances),
        ipv6=_router_entry(data.uplink, instances),
        first_choice=data.first_choice or None,
        since=data.moved_at,
    )


def _lease_entry(uplink: Uplink, instances: Mapping[str, Instance]) -> LeaseEntry | None:
    client = instances.get(f"lease:{uplink.link}")
    # A renewal on the same terms is known to the client alone, and its expiry is the true one.
    lease = (client.data.lease if client else None) or uplink.lease
    if lease is None:
        return None
    return LeaseEntry(
        address=lease.address,
        gateway=lease.router,
        server=lease.server,
        name_servers=lease.name_servers,
        lease_expiry=lease.expiry,
    )


def _router_entry(uplink: Uplink, instances: Mapping[str, Instance]) -> RouterEntry | None:
    path = instances.get(f"path:{uplink.link}/{Family.IPV6.value}")
    # What is advertised again changes addresses and lifetimes, and the path hears it first.
    router = (path.data.router if path else None) or uplink.router
    if router is None:
        return None
    return RouterEntry(
        addresses=router.addresses,
        gateway=router.router,
        name_servers=router.name_servers,
        router_expiry=path.data.router_expiry if path else None,
    )


def lease_expiry(instance: Instance) -> datetime | None:
    """When the lease of a DHCP client ends; None for what has none, or one that is for ever."""
    data = instance.data
    return data.lease.expiry if isinstance(data, LeaseData) and data.lease else None


def node_id(instances: Mapping[str, Instance]) -> str | None:
    """The node's name on the grid, as soon as it has one."""
    registration = instances.get("registration")
    if registration is None or not isinstance(registration.data, RegistrationData):
        return None
    return registration.data.node_id or None


def machine_warning(instance: Instance) -> WarningEntry | None:
    """What the present state of a machine warns of."""
    code = code_of(instance)
    if code is None:
        return None
    return WarningEntry(
        code=code.code,
        sentence=sentence(_subject(instance), _evidence(instance), code),
        machine=instance.name,
        since=instance.since,
    )


def configuration_warnings(configuration: Configuration) -> Iterator[WarningEntry]:
    """What was wrong before the node did anything."""
    for complaint in configuration.complaints:
        yield WarningEntry("command-line", sentence("", complaint, CODES["command-line"]))
    if not configuration.grid_url:
        yield WarningEntry("no-grid-named", sentence("", "", CODES["no-grid-named"]))
    if configuration.farm_id == 0:
        yield WarningEntry("no-farm", sentence("", "", CODES["no-farm"]), "polling")


def fault_warning(fault: Fault) -> WarningEntry:
    """A fault that somebody noticed from outside the machines."""
    return WarningEntry(fault.code, sentence(fault.machine, fault.sentence, CODES[fault.code]), fault.machine)


def census_warning(census: CensusEntry) -> WarningEntry:
    """A census that could not be taken."""
    return WarningEntry("census-incomplete", sentence("", census.fault, CODES["census-incomplete"]), None, census.at)


def stopped_warning(now: datetime) -> WarningEntry:
    """The node's last word."""
    return WarningEntry("stopped", sentence("", "", CODES["stopped"]), None, now)


def _subject(instance: Instance) -> str:
    kind, _, key = instance.name.partition(":")
    if kind in ("interface", "path"):
        return key.partition("/")[0]
    return f"{kind} {key}" if key else "" if kind == "connectivity" else kind


def _evidence(instance: Instance) -> str:
    data = instance.data
    if isinstance(data, ConnectivityData) and instance.state == "waiting" and data.candidates:
        return explained(data.candidates)
    if isinstance(data, PathData) and data.standing in FAULTY:
        return data.fault
    return _reason(instance)


def _reason(instance: Instance) -> str:
    """Of those that back off from a fault, the fault itself."""
    data = instance.data
    if isinstance(data, ResourceData | LeaseData | WorkloadData) and data.fault and instance.state in BACKED_OFF:
        return data.fault
    if isinstance(data, PublicData) and instance.state == "refused":
        return data.refusal
    if isinstance(data, PublicData) and data.standing is not None and instance.state == "applied":
        return told(data.standing.wish)
    return instance.reason
