"""Carries out what connectivity and the interfaces ask: NICs, the bridge, the gateway. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel import firewall, rulesets
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import GatewaySilent, gateway_answers
from zosfsm.kernel.links import Link, Links
from zosfsm.lifecycles.connectivity import (
    BRIDGE,
    AttachUplink,
    DetachUplink,
    InspectUplink,
    ListNics,
    Nic,
    NicsListed,
    RemoveUplink,
    Uplink,
)
from zosfsm.lifecycles.interface import GatewayFound, ProveGateway
from zosfsm.node import lease_installation
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_thread import KernelThread

GATEWAY_ATTEMPTS = 5
GATEWAY_INTERVAL_SECONDS = 0.3
NIC_PREFIXES = ("eth", "en")
ETHERNET_MAC_CHARACTERS = 17
OUR_PREFIXES = ("b-", "l-", "w-")
OUR_NAMES = frozenset({"zos", "br-ndmz", "to-ndmz"})
LISTING_ATTEMPTS = 5

log = logging.getLogger(__name__)


def is_nic(link: Link, bridge_index: int | None) -> bool:
    """Is this a NIC of the machine, and free for us to use?

    A virtual machine's or a lab's NIC may be a veth; then it is named like one. Others are workloads' ends.
    """
    if link.name == "lo" or link.name in OUR_NAMES or link.name.startswith(OUR_PREFIXES):
        return False
    if link.kind == "veth" and not link.name.startswith(NIC_PREFIXES):
        return False
    is_ethernet = len(link.mac) == ETHERNET_MAC_CHARACTERS
    return is_ethernet and link.kind in ("", "veth") and link.master in (None, bridge_index)


class UplinkEdge:
    """The handlers for the effects of states/connectivity.toml and states/interface.toml.

    `heard_carrier` answers what the kernel last said by itself of a NIC's carrier; None where it said nothing.
    """

    def __init__(self, kernel: KernelThread, heard_carrier: Callable[[str], bool | None]) -> None:
        self._kernel = kernel
        self._heard_carrier = heard_carrier

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            ListNics: self._list_nics,
            InspectUplink: self._inspect,
            AttachUplink: self._attach,
            DetachUplink: self._detach,
            RemoveUplink: self._remove,
            ProveGateway: self._prove_gateway,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        return {
            ListNics: failing("listing_failed"),
            InspectUplink: failing("uplink_gone"),
            AttachUplink: failing("attach_failed"),
            DetachUplink: failing("detach_failed"),
            RemoveUplink: failing("removal_failed"),
            ProveGateway: failing("gateway_silent"),
        }

    async def _list_nics(self, _emission: Emission) -> Event:
        try:
            listed = await self._kernel.run(listed_nics)
            for _ in range(LISTING_ATTEMPTS):
                if not self._is_overtaken(listed):
                    break
                again = await self._kernel.run(listed_nics)
                listed = NicsListed(again.nics, tuple(sorted({*listed.switched_on, *again.switched_on})))
        except KernelError as error:
            return Event("listing_failed", reason=str(error))
        return Event("nics_listed", listed)

    def _is_overtaken(self, listed: NicsListed) -> bool:
        # A cable's news may pass the listing on its way here: told after the news, the list would undo it for good.
        return any(self._heard_carrier(nic.name) not in (None, nic.carrier) for nic in listed.nics)

    async def _inspect(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, InspectUplink)
        try:
            fault = await self._kernel.run(partial(_uplink_fault, effect.bridge, effect.uplink))
        except KernelError as error:
            fault = str(error)
        return Event("uplink_gone", reason=fault) if fault else Event("uplink_intact")

    async def _attach(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, AttachUplink)
        try:
            await self._kernel.run(partial(_attach, effect.bridge, effect.uplink))
        except KernelError as error:
            return Event("attach_failed", reason=str(error))
        return Event("attached")

    async def _detach(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, DetachUplink)
        try:
            await self._kernel.run(partial(_detach, effect.bridge))
        except KernelError as error:
            return Event("detach_failed", reason=str(error))
        return Event("detached")

    async def _remove(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, RemoveUplink)
        try:
            await self._kernel.run(partial(remove_uplink, effect.bridge, effect.switch_off))
        except KernelError as error:
            return Event("removal_failed", reason=str(error))
        return Event("removed")

    async def _prove_gateway(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ProveGateway)
        try:
            mac = await gateway_answers(
                effect.link,
                effect.source,
                effect.mac,
                effect.gateway,
                attempts=GATEWAY_ATTEMPTS,
                interval_seconds=GATEWAY_INTERVAL_SECONDS,
            )
        except GatewaySilent:
            reason = f"leased {effect.source} but {effect.gateway} does not answer ARP"
            return Event("gateway_silent", reason=reason)
        except KernelError as error:
            return Event("gateway_silent", reason=str(error))
        return Event("gateway_answers", GatewayFound(mac), reason=f"{effect.gateway} answers ARP from {mac}")


def listed_nics() -> NicsListed:
    """Switches all NICs on and lists them. Raises KernelError where the kernel lists nothing at all."""
    with Links(None) as links:
        bridge = links.find(BRIDGE)
        bridge_index = bridge.index if bridge else None
        nics = [link for link in links.all() if is_nic(link, bridge_index)]
        switched_on = tuple(nic.name for nic in nics if not nic.up and switch_on(links, nic.name))
        # One that was taken out meanwhile is none.
        present = [link for nic in nics if (link := links.find(nic.name)) is not None]
    return NicsListed(tuple(_nic(link, bridge_index) for link in present), switched_on)


def _nic(link: Link, bridge_index: int | None) -> Nic:
    return Nic(link.name, link.mac, link.carrier, in_bridge=bridge_index is not None and link.master == bridge_index)


def switch_on(links: Links, name: str) -> bool:
    """Switches a NIC on, and says whether it let itself: one that refuses is no reason to do without the others."""
    try:
        links.set_up(name)
    except KernelError as error:
        log.warning("a NIC cannot be switched on", extra={"link": name, "reason": str(error)})
        return False
    return True


def remove_uplink(bridge: str, switch_off: tuple[str, ...]) -> None:
    """The bridge and the firewall are gone, and the NICs are as they were."""
    with Links(None) as links:
        links.delete(bridge)
        for name in switch_off:
            if links.find(name) is not None:
                links.set_down(name)
    firewall.remove()


def _uplink_fault(bridge: str, uplink: Uplink) -> str:
    with Links(None) as links:
        found, nic = links.find(bridge), links.find(uplink.link)
        if found is None:
            return f"there is no bridge {bridge}"
        if nic is None:
            return f"there is no NIC {uplink.link}"
        if nic.master != found.index:
            return f"{uplink.link} is not in the bridge {bridge}"
        if not nic.carrier:
            return f"{uplink.link} has no carrier"
        if uplink.lease.address not in links.addresses(bridge):
            return f"{bridge} does not have {uplink.lease.address}"
        route = links.default_route(4)
        if route is None or (route.gateway, route.link) != (uplink.lease.router, bridge):
            return f"the default route is not through {uplink.lease.router} on {bridge}"
    # Mended and not reported: to leave the uplink because of it would cut off every network that it carries.
    firewall.ensure(rulesets.host())
    return ""


def _attach(bridge: str, uplink: Uplink) -> None:
    # First of all, so that there is no moment without it. It concerns the bridges' packets only, no other link's.
    firewall.ensure(rulesets.host())
    with Links(None) as links:
        links.ensure_bridge(bridge, uplink.mac)
        links.flush_addresses(uplink.link)
        links.set_mac(bridge, uplink.mac)
        links.enslave(uplink.link, bridge)
        links.set_up(uplink.link)
        links.set_up(bridge)
    lease_installation.install(bridge, None, uplink.lease)


def _detach(bridge: str) -> None:
    with Links(None) as links:
        found = links.find(bridge)
        if found is None:
            return
        for link in links.all():
            if link.master == found.index and link.kind in ("", "veth") and not link.name.startswith(OUR_PREFIXES):
                links.release(link.name)
        links.flush_addresses(bridge)
