"""Carries out what connectivity and the interfaces ask: NICs, their VLANs, the bridge. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.vlan import VlanLinks
from zosfsm.lifecycles.connectivity_data import (
    AttachUplink,
    DetachUplink,
    InspectUplink,
    ListNics,
    NicsListed,
    RemoveUplink,
)
from zosfsm.lifecycles.interface_data import MakeVlan, RemoveVlan, VlanMade
from zosfsm.lifecycles.uplink_policy import BRIDGE, UplinkPolicy
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads
from zosfsm.node.nics import LeftAlone
from zosfsm.node.uplink_installation import attach, detach, listed_nics, remove, sweep, uplink_fault

LISTING_ATTEMPTS = 5

log = logging.getLogger(__name__)


class UplinkEdge:
    """The handlers for the effects of states/connectivity.toml and states/interface.toml.

    `heard_carrier` answers what the kernel last said by itself of a NIC's carrier; None where it said nothing.
    `switched_on` are the NICs that were switched on before there was an edge, as the very first thing.
    `listed` is set once all NICs were listed and switched on for the first time, or the kernel has refused to.
    """

    def __init__(
        self,
        kernel: KernelThreads,
        heard_carrier: Callable[[str], bool | None],
        is_left_alone: LeftAlone,
        switched_on: tuple[str, ...] = (),
    ) -> None:
        self._kernel = kernel
        self._heard_carrier = heard_carrier
        self._is_left_alone = is_left_alone
        self._switched_on = switched_on
        self.listed = asyncio.Event()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            ListNics: self._list_nics,
            InspectUplink: self._inspect,
            AttachUplink: self._attach,
            DetachUplink: self._detach,
            RemoveUplink: self._remove,
            MakeVlan: self._make_vlan,
            RemoveVlan: self._remove_vlan,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails; the end of a VLAN has no answer."""
        return {
            ListNics: failing("listing_failed"),
            InspectUplink: failing("uplink_gone"),
            AttachUplink: failing("attach_failed"),
            DetachUplink: failing("detach_failed"),
            RemoveUplink: failing("removal_failed"),
            MakeVlan: failing("vlan_refused"),
        }

    async def _list_nics(self, _emission: Emission) -> Event:
        work = partial(listed_nics, BRIDGE, self._is_left_alone)
        try:
            listed = await self._first_listed(work)
            for _ in range(LISTING_ATTEMPTS):
                if not self._is_overtaken(listed):
                    break
                again = await self._kernel.run(work)
                listed = _joined(again, listed.switched_on)
        except KernelError as error:
            return Event("listing_failed", reason=str(error))
        return Event("nics_listed", _joined(listed, self._switched_on))

    async def _first_listed(self, work: Callable[[], NicsListed]) -> NicsListed:
        """In a life's first list, what a node that was killed was trying is swept: no machine remembers it.

        Once, whether it succeeds or not: later it would take what is being tried.
        """
        try:
            return await self._kernel.run(work if self.listed.is_set() else partial(self._swept, work))
        finally:
            self.listed.set()

    def _swept(self, work: Callable[[], NicsListed]) -> NicsListed:
        try:
            sweep(BRIDGE, self._was_not_tried)
        except KernelError as error:
            log.warning("what earlier trials have left cannot be removed", extra={"reason": str(error)})
        return work()

    def _was_not_tried(self, name: str, mac: str) -> bool:
        return name in self._switched_on or self._is_left_alone(name, mac)

    def _is_overtaken(self, listed: NicsListed) -> bool:
        # A cable's news may pass the listing on its way here: told after the news, the list would undo it for good.
        return any(self._heard_carrier(nic.name) not in (None, nic.carrier) for nic in listed.nics)

    async def _inspect(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, InspectUplink)
        try:
            fault = await self._kernel.run(partial(uplink_fault, effect.bridge, effect.uplink))
        except KernelError as error:
            fault = str(error)
        return Event("uplink_gone", reason=fault) if fault else Event("uplink_intact")

    async def _attach(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, AttachUplink)
        try:
            await self._kernel.run(partial(attach, effect.bridge, effect.uplink))
        except KernelError as error:
            return Event("attach_failed", reason=str(error))
        return Event("attached")

    async def _detach(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, DetachUplink)
        try:
            await self._kernel.run(partial(detach, effect.bridge))
        except KernelError as error:
            return Event("detach_failed", reason=str(error))
        return Event("detached")

    async def _remove(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, RemoveUplink)
        of_the_last_life = UplinkPolicy(excluded=effect.leave_alone).excludes

        def is_left_alone(name: str, mac: str) -> bool:
            return self._is_left_alone(name, mac) or of_the_last_life(name, mac)

        try:
            await self._kernel.run(partial(remove, effect.bridge, effect.switch_off, is_left_alone))
        except KernelError as error:
            return Event("removal_failed", reason=str(error))
        return Event("removed")

    async def _make_vlan(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, MakeVlan)
        try:
            link = await self._kernel.run(partial(_made_vlan, effect.link, effect.vlan))
        except KernelError as error:
            return Event("vlan_refused", reason=str(error))
        return Event("vlan_ready", VlanMade(link), reason=f"VLAN {effect.vlan} of {effect.link} is on {link}")

    async def _remove_vlan(self, emission: Emission) -> None:
        effect = emission.effect
        assert isinstance(effect, RemoveVlan)
        try:
            await self._kernel.run(partial(_removed_vlan, effect.link, effect.vlan))
        except KernelError as error:
            # The next start that finds it makes it its own; the NIC works without its VLAN's link as well.
            log.warning("a VLAN's link cannot be removed", extra={"link": effect.link, "reason": str(error)})


def _joined(listed: NicsListed, switched_on: tuple[str, ...]) -> NicsListed:
    return NicsListed(listed.nics, tuple(sorted({*listed.switched_on, *switched_on})))


def _made_vlan(name: str, vlan: int) -> str:
    with VlanLinks() as links:
        return links.make_vlan(name, vlan)


def _removed_vlan(name: str, vlan: int) -> None:
    with VlanLinks() as links:
        links.remove_vlan(name, vlan)
