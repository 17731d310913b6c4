"""What `zosfsm mesh` asks the grid and tells it: node facts, reservations, answers. Decides nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from itertools import product

from attrs import evolve, frozen
from nacl.public import PrivateKey

from zosfsm.grid.client import GridClient
from zosfsm.grid.documents import Interface, Node
from zosfsm.grid.errors import GridError, GridRefused, GridUnreachable
from zosfsm.grid.identity import Identity, seal_to
from zosfsm.grid.raw_json import parse
from zosfsm.grid.reservations import Reservation, ReservationType, ResultState, StoredReservation
from zosfsm.grid.signing import result_holds, sign_reservation
from zosfsm.mesh.addresses import PRIVATE_RANGES, is_public, public_endpoints
from zosfsm.mesh.changes import Standing
from zosfsm.mesh.memory import Remembered
from zosfsm.mesh.plans import Family, KeyPair, Lan, NodeFacts

_NOT_FOUND = 404
# What every node calls the bridge that leads out, and its public interface.
_UPLINK, _PUBLIC = "zos", "public"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


@frozen
class Answer:
    """How far a node is with its reservation, for the user and (`standing`) for what to do next."""

    state: str
    reason: str = ""
    standing: Standing | None = None


_WAITING = Answer("waiting", "the node has not answered yet")
_UNKNOWN = Answer("unknown", "the grid does not know this reservation")
_NOTHING_SENT = Answer("not sent", "the node has no reservation")


@frozen
class MeshGrid:
    """One grid, seen by one user; `identity` is None for who only looks."""

    url: str
    client: GridClient
    identity: Identity | None

    async def facts(self, identifiers: Iterable[str]) -> list[NodeFacts]:
        """Of those nodes that the grid knows: the plan says which are missing."""
        found = [await self._node(identifier) for identifier in identifiers]
        return [node_facts(node) for node in found if node is not None]

    async def answers(self, nodes: Sequence[Remembered]) -> dict[str, Answer]:
        return {node.member: await self._answer(node) for node in nodes}

    async def send(self, node_id: str, data: str, duration: timedelta) -> str:
        """Signs and sends one reservation; answers the id that the grid gave it. Raises GridError."""
        assert self.identity is not None, "who sends must have an identity"
        reservation = Reservation(
            node_id, self.identity.identifier, ReservationType.NETWORK, datetime.now(UTC), duration, data
        )
        return await self.client.reserve(sign_reservation(reservation, self.identity))

    async def ask_deletion(self, reservations: Iterable[str]) -> None:
        """Of all that a node was ever sent, the oldest first: one left alone would bring the network back."""
        for reservation in reservations:
            try:
                await self.client.delete(reservation)
            except GridRefused as refusal:
                if refusal.status != _NOT_FOUND:
                    raise

    async def sent(self, node_id: str, user_id: str, name: str) -> list[str]:
        """The ids of all that this user's network of this name ever sent to a node, the oldest first."""
        poll = await self.client.poll(node_id, 0, 0)
        mine = [one for one in poll.reservations if one.user_id == user_id and _network_name(one) == name]
        return [one.id for one in sorted(mine, key=lambda one: one.number) if not one.to_delete]

    async def wait_until_answered(self, nodes: Sequence[Remembered], seconds: float) -> dict[str, Answer]:
        """Until every node has answered, or the time is over. Looks at least once."""
        answers: dict[str, Answer] = {}
        for pause in _pauses(seconds):
            pending = [node for node in nodes if answers.get(node.member, _WAITING).state == _WAITING.state]
            answers |= {node.member: await self._patient_answer(node) for node in pending}
            if all(answer.state != _WAITING.state for answer in answers.values()):
                break
            await asyncio.sleep(pause)
        return answers

    async def wait_until_deleted(self, nodes: Sequence[Remembered], seconds: float) -> list[str]:
        """The ids of the nodes that have said that all is torn down, once all have or the time is over."""
        gone: list[str] = []
        for pause in _pauses(seconds):
            for node in nodes:
                if node.member not in gone and await self._is_gone(node):
                    gone.append(node.member)
            if len(gone) == len(nodes):
                break
            await asyncio.sleep(pause)
        return gone

    async def _node(self, identifier: str) -> Node | None:
        try:
            return await self.client.node(identifier)
        except GridRefused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return None

    async def _stored(self, reservation: str) -> StoredReservation | None:
        try:
            return await self.client.reservation(reservation)
        except GridRefused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return None

    async def _answer(self, node: Remembered) -> Answer:
        if node.reservation is None:
            return _NOTHING_SENT
        stored = await self._stored(node.reservation)
        return _UNKNOWN if stored is None else _answer_of(stored)

    async def _patient_answer(self, node: Remembered) -> Answer:
        """While waiting, a grid that is away for a moment is one more reason to wait."""
        try:
            return await self._answer(node)
        except GridError as failure:
            return evolve(_WAITING, reason=str(failure))

    async def _is_gone(self, node: Remembered) -> bool:
        try:
            stored = [await self._stored(reservation) for reservation in node.reservations]
        except GridUnreachable:
            return False
        return all(one is None or one.deleted for one in stored)


@asynccontextmanager
async def opened(url: str, identity: Identity | None) -> AsyncIterator[MeshGrid]:
    client = GridClient(url, identity)
    try:
        yield MeshGrid(url, client, identity)
    finally:
        await client.aclose()


def node_facts(node: Node) -> NodeFacts:
    """A node with a public interface has its tunnels there, and nowhere else.

    What counts is what the node publishes: a configuration that it refused, or has not applied yet, leads nowhere.
    """
    return NodeFacts(
        node.node_id,
        public_endpoints(_underlay(node)),
        frozenset(node.wg_ports),
        _dials(node),
        _lan(node),
        None if node.updated is None else datetime.now(UTC) - node.updated,
    )


def make_keys(_member: str) -> KeyPair:
    private = PrivateKey.generate()
    return KeyPair(_base64(bytes(private.public_key)), _base64(bytes(private)))


def seal(node_id: str, text: str) -> str:
    return seal_to(node_id, text)


def as_json(data: dict[str, object]) -> str:
    return json.dumps(data, separators=(",", ":"))


def _underlay(node: Node) -> list[IPv4Address | IPv6Address]:
    return _public(node) or [address.ip for interface in node.ifaces for address in interface.addrs]


def _public(node: Node) -> list[IPv4Address | IPv6Address]:
    """The addresses of the public interface."""
    return [address.ip for interface in node.ifaces if interface.name == _PUBLIC for address in interface.addrs]


def _dials(node: Node) -> frozenset[Family]:
    """The families of the addresses from which its tunnels can send to the internet; IPv4 where nothing is known."""
    sources = _public(node) or [address.ip for uplink in _uplinks(node) for address in uplink.addrs]
    families = {
        Family.IPV4 if isinstance(source, IPv4Address) else Family.IPV6
        for source in sources
        if (not source.is_link_local if isinstance(source, IPv4Address) else is_public(source))
    }
    return frozenset(families or {Family.IPV4})


def _lan(node: Node) -> Lan | None:
    """None where the tunnels are in the public namespace, and where the uplink has no private address and gateway."""
    if _public(node):
        return None
    for uplink in _uplinks(node):
        private = [address for address in uplink.addrs if isinstance(address, IPv4Interface) and _is_private(address)]
        for address, gateway in product(private, uplink.gateway):
            if isinstance(gateway, IPv4Address) and gateway in address.network and gateway != address.ip:
                return Lan(address, gateway, node.farm_id)
    return None


def _uplinks(node: Node) -> list[Interface]:
    return [interface for interface in node.ifaces if interface.name == _UPLINK]


def _is_private(address: IPv4Interface) -> bool:
    return any(address.ip in network for network in PRIVATE_RANGES)


def _network_name(reservation: Reservation) -> str | None:
    if reservation.type is not ReservationType.NETWORK:
        return None
    data = parse(reservation.data)
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else None


def _answer_of(stored: StoredReservation) -> Answer:
    reservation, result = stored.reservation, stored.result
    proven = result is not None and result_holds(result, reservation.node_id)
    standing = Standing(
        result.state.value if result is not None and proven else None,
        result.error if result is not None and proven else "",
        reservation.to_delete or stored.deleted,
        reservation.created,
        reservation.duration,
    )
    if stored.deleted:
        return Answer("removed", "", standing)
    if reservation.to_delete:
        return Answer("removing", "the node has not said that it is done", standing)
    if result is None:
        return Answer(_WAITING.state, _WAITING.reason, standing)
    if not proven:
        return Answer("unproven", "the grid holds an answer that the node has not signed", standing)
    if result.state is ResultState.ERROR:
        return Answer("refused", result.error or "the node gave no reason", standing)
    return Answer("ok", "", standing)


def _pauses(seconds: float) -> Iterator[float]:
    """How long to wait after each look; the last look is when the time is over."""
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
    while True:
        left = end - time.monotonic()
        yield max(0.0, min(pause, left))
        if left <= 0:
            return
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
