"""Carries out what the paths ask of a link: does the gateway answer, and an address for the time of a trial.

Decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.gateway import GatewaySilent, gateway_answers, neighbour_answers
from zosfsm.lifecycles.path_data import ClearTrial, ConfigureTrial, GatewayFound, ProveGateway
from zosfsm.node import lease_installation
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.kernel_threads import KernelThreads

GATEWAY_ATTEMPTS = 5
GATEWAY_INTERVAL_SECONDS = 0.3

log = logging.getLogger(__name__)


class TrialEdge:
    """The handlers for the effects of states/path.toml that concern a link and its gateway."""

    def __init__(self, kernel: KernelThreads) -> None:
        self._kernel = kernel

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {
            ProveGateway: self._prove_gateway,
            ConfigureTrial: self._configure,
            ClearTrial: self._clear,
        }

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails; the end of a trial has no answer."""
        return {ProveGateway: failing("gateway_silent"), ConfigureTrial: failing("configuring_failed")}

    async def _prove_gateway(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ProveGateway)
        try:
            mac = await _asked(effect)
        except GatewaySilent:
            return Event("gateway_silent", reason=f"{effect.gateway} does not answer {_protocol(effect)}")
        except KernelError as error:
            return Event("gateway_silent", reason=str(error))
        answer = f"{effect.gateway} answers {_protocol(effect)} from {mac}"
        return Event("gateway_answers", GatewayFound(mac), reason=answer)

    async def _configure(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ConfigureTrial)
        try:
            await self._kernel.run(partial(lease_installation.install_trial, effect.link, effect.lease))
        except KernelError as error:
            return Event("configuring_failed", reason=str(error))
        return Event("configured")

    async def _clear(self, emission: Emission) -> None:
        effect = emission.effect
        assert isinstance(effect, ClearTrial)
        try:
            await self._kernel.run(partial(lease_installation.clear_trial, effect.link, effect.lease))
        except KernelError as error:
            # The node's traffic does not notice it, and the next trial puts its own address there.
            log.warning("a trial's address cannot be removed", extra={"link": effect.link, "reason": str(error)})


async def _asked(effect: ProveGateway) -> str:
    """The gateway's MAC address. Raises GatewaySilent, and KernelError."""
    link, source, gateway = effect.link, effect.source.ip, effect.gateway
    if isinstance(source, IPv4Address) and isinstance(gateway, IPv4Address):
        return await gateway_answers(
            link, source, effect.mac, gateway, attempts=GATEWAY_ATTEMPTS, interval_seconds=GATEWAY_INTERVAL_SECONDS
        )
    if isinstance(source, IPv6Address) and isinstance(gateway, IPv6Address):
        return await neighbour_answers(
            link, gateway, source, effect.mac, attempts=GATEWAY_ATTEMPTS, interval_seconds=GATEWAY_INTERVAL_SECONDS
        )
    raise KernelError(f"reach gateway {gateway} over {link}", f"{source} is of another family")


def _protocol(effect: ProveGateway) -> str:
    return "ARP" if effect.gateway.version == 4 else "neighbour discovery"
