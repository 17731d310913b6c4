"""Carries out what the paths ask about names and endpoints, through the link that each path is on. Decides nothing.

httpx is not needed for it: a node asks its first name server and its grid before that is loaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.endpoints import Address, Endpoint, endpoint, grid_endpoint
from zosfsm.grid.errors import GridUnreachable
from zosfsm.grid.quorum import Outcome, ask_enough
from zosfsm.grid.reachability import Judgement, Reach, ask_any, portal_beside, telling
from zosfsm.grid.trust import trusted
from zosfsm.kernel import name_resolution
from zosfsm.kernel.bound_socket import tcp_socket
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_resolution import Version
from zosfsm.lifecycles.connectivity import BRIDGE
from zosfsm.lifecycles.path_data import AskEndpoints, Resolution, Resolved, ResolveNames
from zosfsm.lifecycles.uplink_policy import Family
from zosfsm.node.configuration import Configuration
from zosfsm.node.endpoint_addresses import Unresolved, looked_up, unmasked
from zosfsm.node.executor import Failure, Handler, failing
from zosfsm.node.grid_edge import NO_GRID
from zosfsm.node.known_names import KnownNames

_VERSIONS: Mapping[Family, Version] = {Family.IPV4: 4, Family.IPV6: 6}
_PROTOCOLS = {4: "ARP", 6: "neighbour discovery"}
_TRIGGERS = {Reach.PORTAL: "portal_found", Reach.TLS_FAULT: "tls_refused"}

log = logging.getLogger(__name__)


class ReachabilityEdge:
    """The handlers for names and endpoints, and the names of the uplink for everybody else (`resolve`)."""

    def __init__(self, configuration: Configuration) -> None:
        self._endpoints = _endpoints(configuration)
        self._quorum = configuration.quorum
        self._known = KnownNames()

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {ResolveNames: self._resolve_names, AskEndpoints: self._ask_endpoints}

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """How each effect fails."""
        return {ResolveNames: failing("names_silent"), AskEndpoints: failing("endpoints_silent")}

    async def resolve(self, host: str) -> Sequence[str]:
        """The host's addresses as the uplink's name servers give them, the best first. Raises GridUnreachable.

        What was found out less than five minutes ago counts still; what is older, if the servers are silent.
        """
        fresh = self._known.fresh(host)
        if fresh:
            return fresh
        asked = self._known.name_servers()
        reasons = await asyncio.gather(*(self._learn(version, servers, host) for version, servers in asked.items()))
        found = self._known.any(host)
        if not found:
            raise GridUnreachable("; ".join(filter(None, reasons)) or f"no name server is known to ask for {host}")
        return found

    async def _learn(self, version: Version, servers: tuple[Address, ...], host: str) -> str:
        """Asks anew; the answer is why nothing was learned."""
        try:
            answer = await name_resolution.resolve(BRIDGE, servers, host, version)
        except KernelError as error:
            return error.cause
        if self._known.name_servers().get(version) == servers:
            # Else the uplink has moved on meanwhile, and its new servers may see another world.
            self._known.learn(version, servers, {host: answer.addresses})
        return ""

    async def _resolve_names(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, ResolveNames)
        if not self._endpoints:
            # Nothing to resolve: asking the endpoints says what is missing.
            return Event("resolved", Resolution(()))
        version = _VERSIONS[effect.family]
        look_up = partial(looked_up, effect.link, effect.name_servers, version)
        first = len(self._endpoints) if self._quorum > 1 else 1
        found = await asyncio.gather(*map(look_up, self._endpoints[:first]))
        grid = found[0]
        if isinstance(grid, Unresolved):
            if grid.is_lie:
                return Event("names_lie", reason=grid.reason)
            found += await asyncio.gather(*map(look_up, self._endpoints[first:]))
        hosts = tuple(dict.fromkeys(one for one in found if isinstance(one, Resolved)))
        if effect.link == BRIDGE:
            self._known.learn(version, effect.name_servers, {one.host: one.addresses for one in hosts})
        if isinstance(grid, Unresolved) and not hosts:
            return Event("names_silent", reason=grid.reason)
        return Event("resolved", Resolution(hosts))

    async def _ask_endpoints(self, emission: Emission) -> Event:
        effect = emission.effect
        assert isinstance(effect, AskEndpoints)
        if not self._endpoints:
            return Event("endpoints_silent", reason=NO_GRID)
        question = _Question(effect)
        try:
            outcome = await ask_enough(self._endpoints, self._quorum, question.ask)
            if effect.link == BRIDGE:
                self._known.judge(question.version, outcome.is_enough)
            if outcome.is_enough:
                return Event("endpoints_answer", reason=_success(outcome))
            lie, portal = await asyncio.gather(question.lie(outcome), question.portal(outcome))
        except KernelError as error:
            return Event("endpoints_silent", reason=str(error))
        if lie:
            return Event("names_lie", reason=lie)
        worst = portal or telling(outcome.failing)
        return Event(_TRIGGERS.get(worst.reach, "endpoints_silent"), reason=_failure(effect, outcome, worst))


class _Question:
    """One AskEndpoints: an endpoint that was not resolved before, because it was not needed, is resolved now."""

    def __init__(self, effect: AskEndpoints) -> None:
        self._effect = effect
        self._resolved = {one.host: one for one in effect.resolution.hosts}
        self.version = _VERSIONS[effect.family]

    async def ask(self, endpoint: Endpoint) -> Judgement:
        """Who answers. Raises KernelError where the link is gone."""
        effect = self._effect
        resolved = self._resolved.get(endpoint.host) or await looked_up(
            effect.link, effect.name_servers, self.version, endpoint
        )
        if isinstance(resolved, Unresolved):
            return Judgement(endpoint, Reach.SILENT, resolved.reason)
        self._resolved[endpoint.host] = resolved
        return await ask_any(endpoint, resolved.addresses, partial(tcp_socket, effect.link))

    async def lie(self, outcome: Outcome) -> str:
        """The sentence about a name server that has led astray; "" if none has."""
        led = [judgement.endpoint for judgement in outcome.failing if judgement.endpoint.address is None]
        suspicious = {
            address
            for endpoint in led
            if endpoint.host in self._resolved
            for address in self._resolved[endpoint.host].addresses
        }
        if not suspicious:
            return ""
        return await unmasked(self._effect.link, self._effect.name_servers, self.version, suspicious)

    async def portal(self, outcome: Outcome) -> Judgement | None:
        """The portal that is in the way of the first secure endpoint that was asked and failed."""
        for judgement in outcome.failing:
            endpoint = judgement.endpoint
            if endpoint.is_secure and endpoint.host in self._resolved:
                address = self._resolved[endpoint.host].addresses[0]
                return await portal_beside(endpoint, address, partial(tcp_socket, self._effect.link))
        return None


def preload(configuration: Configuration) -> None:
    """Loads what the first conversation with the grid needs; called in a thread while DHCP is being waited for."""
    import h11  # noqa: F401

    asked = _endpoints(configuration)
    if any(endpoint.address is None for endpoint in asked):
        name_resolution.load()
    if any(endpoint.is_secure for endpoint in asked):
        try:
            trusted()
        except OSError as error:
            log.warning("the authorities for TLS cannot be read", extra={"reason": str(error)})


def _endpoints(configuration: Configuration) -> tuple[Endpoint, ...]:
    """The grid first; none at all without a grid, which no other endpoint can stand for."""
    if not configuration.grid_url:
        return ()
    others = (endpoint(url) for url in configuration.endpoints if url.rstrip("/") != configuration.grid_url)
    return grid_endpoint(configuration.grid_url), *dict.fromkeys(others)


def _success(outcome: Outcome) -> str:
    said = [judgement.evidence for judgement in outcome.answering]
    return "; ".join([*said, *map(_silence, outcome.failing)])


def _failure(effect: AskEndpoints, outcome: Outcome, worst: Judgement) -> str:
    if worst.reach is not Reach.SILENT:
        reason = worst.evidence
    elif effect.gateway is None or worst.endpoint.host not in {one.host for one in effect.resolution.hosts}:
        reason = _silence(worst)
    else:
        proof = f"{effect.gateway} answers {_PROTOCOLS[effect.gateway.version]}"
        reason = f"{proof} but {worst.endpoint.url} does not answer through it: {worst.evidence}"
    if not outcome.answering:
        return reason
    return f"expected {outcome.wanted} endpoints to answer, found {len(outcome.answering)}; {reason}"


def _silence(judgement: Judgement) -> str:
    if judgement.reach is not Reach.SILENT:
        return judgement.evidence
    return f"{judgement.endpoint.url} does not answer: {judgement.evidence}"
