"""What each machine contributes to the status document. Pure; no secret is ever read here, sealed keys neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from attrs import frozen

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.connectivity import BRIDGE, ConnectivityData, explained
from zosfsm.lifecycles.interface import InterfaceData
from zosfsm.lifecycles.lease_data import LeaseData
from zosfsm.lifecycles.registration import RegistrationData
from zosfsm.lifecycles.resource import ResourceData
from zosfsm.node.configuration import Configuration
from zosfsm.node.status_entries import InterfaceEntry, MachineEntry, ResourceEntry, UplinkEntry, WarningEntry
from zosfsm.node.warning_codes import CODES, code_of, sentence

SINGLETONS = ("connectivity", "registration", "polling", "delivery", "dmz")
ONLINE = "online"
UPLINK_IN_PLACE = frozenset({"checking", "online", "degraded"})


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
        reason=instance.reason,
    )


def unborn_entry(definition: MachineDefinition, started: datetime) -> MachineEntry:
    """A machine that has not heard anything yet."""
    return MachineEntry(definition.initial, definition.states[definition.initial].kind.value, started)


def ended_entry(definition: MachineDefinition, ended: datetime) -> MachineEntry:
    """A machine that was torn down."""
    last = definition.states[definition.teardown]
    return MachineEntry(last.name, last.kind.value, ended, "teardown", reason=last.sentence)


def interface_entry(instance: Instance) -> InterfaceEntry | None:
    """A NIC; None for any other machine."""
    data = instance.data
    if not isinstance(data, InterfaceData):
        return None
    return InterfaceEntry(
        name=data.link,
        mac=data.mac or None,
        state=instance.state,
        carrier=data.carrier,
        address=data.lease.address if data.lease else None,
        gateway=data.lease.router if data.lease else None,
        gateway_mac=data.gateway_mac or None,
        reason=instance.reason,
    )


def resource_entry(instance: Instance) -> ResourceEntry | None:
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
        expiry=facts.expiry if facts else None,
        peers=len(network.peers) if network else 0,
        reason=_evidence(instance),
    )


def uplink_entry(instances: Mapping[str, Instance]) -> UplinkEntry | None:
    """The way out, while it is in place."""
    connectivity = instances.get("connectivity")
    if connectivity is None or connectivity.state not in UPLINK_IN_PLACE:
        return None
    uplink = connectivity.data.uplink
    if uplink is None:
        return None
    client = instances.get(f"lease:{uplink.link}")
    # A renewal on the same terms is known to the client alone, and its expiry is the true one.
    lease = (client.data.lease if client else None) or uplink.lease
    return UplinkEntry(
        bridge=BRIDGE,
        link=uplink.link,
        mac=uplink.mac,
        address=lease.address,
        gateway=lease.router,
        server=lease.server,
        name_servers=lease.name_servers,
        lease_expiry=lease.expiry,
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


def stopped_warning(now: datetime) -> WarningEntry:
    """The node's last word."""
    return WarningEntry("stopped", sentence("", "", CODES["stopped"]), None, now)


def _subject(instance: Instance) -> str:
    kind, _, key = instance.name.partition(":")
    if kind == "interface":
        return key
    return f"{kind} {key}" if key else "" if kind == "connectivity" else kind


def _evidence(instance: Instance) -> str:
    data = instance.data
    if isinstance(data, ConnectivityData) and instance.state == "waiting" and data.candidates:
        return explained(data.candidates)
    if isinstance(data, ResourceData) and data.fault and instance.state in ("failed", "damaged"):
        return data.fault
    return instance.reason
