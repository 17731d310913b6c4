"""What one NIC decides: the guards and actions of states/interface.toml. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address
from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes
from zosfsm.lifecycles.lease_data import Leased, LeaseLost, LeaseStart, Moved, NoLease
from zosfsm.lifecycles.lease_terms import Lease


@frozen
class LinkSeen:
    """What the kernel says of the NIC."""

    mac: str
    carrier: bool


@frozen
class GatewayFound:
    """The gateway answered, from this MAC address."""

    mac: str


@frozen
class Adopted:
    """The NIC is in the bridge already, with this lease."""

    bridge: str
    mac: str
    lease: Lease


@frozen
class Selected:
    """The NIC goes into the bridge; `mac` is the bridge's, which is the NIC's."""

    bridge: str
    mac: str


@frozen
class InterfaceReport:
    """What a NIC tells connectivity."""

    link: str
    mac: str
    lease: Lease | None
    reason: str = ""


@frozen
class ProveGateway(Effect):
    """Ask the gateway by ARP, with the leased address as the sender; answers gateway_answers or gateway_silent."""

    link: str
    mac: str
    source: IPv4Address
    gateway: IPv4Address


@frozen
class InterfaceData:
    """What a NIC is known to have."""

    link: str
    mac: str = ""
    carrier: bool = False
    lease: Lease | None = None
    gateway_mac: str = ""


Here = Context[InterfaceData]
Next = Change[InterfaceData]


class Interface(Lifecycle[InterfaceData]):
    """The code of states/interface.toml."""

    name = "interface"
    data_type = InterfaceData
    payloads = {
        "seen": LinkSeen,
        "vanished": NoneType,
        "probe": NoneType,
        "adopt": Adopted,
        "leased": Leased,
        "lease_changed": Leased,
        "lease_renewed": Leased,
        "lease_lost": LeaseLost,
        "no_lease": NoLease,
        "gateway_answers": GatewayFound,
        "gateway_silent": NoneType,
        "select": Selected,
        "reject": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> InterfaceData:
        return InterfaceData(key)

    @guard
    def has_carrier(self, context: Here, event: Event) -> Verdict:
        if _seen(event).carrier:
            return yes("carrier")
        return no("no carrier")

    @guard
    def has_no_carrier(self, context: Here, event: Event) -> Verdict:
        if _seen(event).carrier:
            return no("it has carrier")
        return yes("no carrier")

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
        if context.data.carrier:
            return yes("carrier")
        return no("no carrier")

    @guard
    def lease_names_a_gateway(self, context: Here, event: Event) -> Verdict:
        lease = _leased(event)
        if lease.router is not None:
            return yes(f"gateway {lease.router}", gateway=lease.router)
        return no(f"leased {lease.address} from {lease.server}, which names no gateway", address=lease.address)

    @action
    def remember_nic(self, context: Here, event: Event) -> Next:
        seen = _seen(event)
        return Change(evolve(context.data, mac=seen.mac, carrier=seen.carrier))

    @action
    def forget_nic(self, context: Here, event: Event) -> Next:
        return Change(InterfaceData(context.key))

    @action
    def remember_lease(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, lease=_leased(event)))

    @action
    def remember_gateway(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, GatewayFound)
        return Change(evolve(context.data, gateway_mac=event.data.mac))

    @action
    def start_lease(self, context: Here, event: Event) -> Next:
        start = LeaseStart(
            link=context.key, namespace=None, mac=context.data.mac, owner=context.name, previous=None, install_on=None
        )
        return Change(evolve(context.data, lease=None, gateway_mac=""), (self._to_lease(context, "start", start),))

    @action
    def adopt_lease(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Adopted)
        found = event.data
        start = LeaseStart(
            link=found.bridge,
            namespace=None,
            mac=found.mac,
            owner=context.name,
            previous=found.lease,
            install_on=found.bridge,
        )
        data = evolve(context.data, mac=found.mac, carrier=True, lease=found.lease)
        return Change(data, (self._to_lease(context, "start", start),))

    @action
    def move_lease(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Selected)
        moved = Moved(link=event.data.bridge, mac=event.data.mac)
        return Change(context.data, (self._to_lease(context, "moved", moved),))

    @action
    def end_lease(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, lease=None), (self._to_lease(context, "teardown"),))

    @action
    def suspend_lease(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_lease(context, "carrier_lost"),))

    @action
    def resume_lease(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_lease(context, "carrier_back"),))

    @action
    def ask_gateway(self, context: Here, event: Event) -> Next:
        lease = context.data.lease
        assert lease is not None and lease.router is not None
        return Change(context.data, (ProveGateway(context.key, context.data.mac, lease.address.ip, lease.router),))

    @action
    def give_up(self, context: Here, event: Event) -> Next:
        reason = event.reason or self._fault(context, event)
        report = self._to_connectivity(context, "interface_failed", reason)
        data = evolve(context.data, lease=None)
        return Change(data, (self._to_lease(context, "teardown"), report))

    @action
    def report_ready(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_connectivity(context, "interface_ready", "carrier"),))

    @action
    def report_usable(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_connectivity(context, "interface_usable", "the gateway answers"),))

    @action
    def report_no_carrier(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_connectivity(context, "interface_failed", "no carrier"),))

    @action
    def report_vanished(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_connectivity(context, "interface_failed", "the NIC was taken out"),))

    @action
    def report_lost(self, context: Here, event: Event) -> Next:
        reason = event.reason or self._fault(context, event)
        return Change(context.data, (self._to_connectivity(context, "uplink_lost", reason),))

    @action
    def report_changed(self, context: Here, event: Event) -> Next:
        return Change(context.data, (self._to_connectivity(context, "lease_changed", "the lease has changed"),))

    def _fault(self, context: Here, event: Event) -> str:
        lease = context.data.lease
        if event.trigger in ("leased", "lease_changed") and lease is not None:
            return f"leased {lease.address} from {lease.server}, which names no gateway"
        if event.trigger == "timeout":
            return "no answer from DHCP in time" if lease is None else f"no answer from {lease.router} in time"
        if event.trigger == "seen":
            return "no carrier"
        if event.trigger == "vanished":
            return "the NIC was taken out"
        return event.trigger.replace("_", " ")

    def _to_connectivity(self, context: Here, trigger: str, reason: str) -> Tell:
        data = context.data
        report = InterfaceReport(context.key, data.mac, data.lease, reason)
        return Tell("connectivity", trigger, report, f"{context.key}: {reason}")

    def _to_lease(self, context: Here, trigger: str, data: object = None) -> Tell:
        return Tell(f"lease:{context.key}", trigger, data)


def _seen(event: Event) -> LinkSeen:
    assert isinstance(event.data, LinkSeen)
    return event.data


def _leased(event: Event) -> Lease:
    assert isinstance(event.data, Leased)
    return event.data.lease
