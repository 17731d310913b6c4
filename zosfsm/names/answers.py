"""What one network's name server answers: from the names here, from the mesh, or from the node's name servers.

It must not know how questions come in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from zosfsm.names.forwarding import Forwarding
from zosfsm.names.mesh_questions import Heard, MeshQuestions
from zosfsm.names.remembered import Remembered
from zosfsm.names.zone import (
    FAILED,
    REFUSED,
    Content,
    Elsewhere,
    MeshZone,
    Named,
    Numbered,
    Question,
    addresses_content,
    meaning,
    names_content,
    nothing,
    nowhere_content,
)

FOUND_SECONDS = 5.0
NOTHING_SECONDS = 3.0
MOST_KEPT = 256

LocalNames = Callable[[], Mapping[str, IPv4Address]]
"""The network's workloads on this node, by their names in small letters."""


class NameAnswers:
    """For the loop's thread."""

    def __init__(
        self,
        zone: MeshZone,
        local: LocalNames,
        mesh: MeshQuestions,
        outside: Forwarding,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zone = zone
        self._version = 0
        self._local = local
        self._mesh = mesh
        self._outside = outside
        self._heard: Remembered[tuple[int, Named | Numbered], Heard] = Remembered(MOST_KEPT, monotonic)

    def change(self, zone: MeshZone) -> None:
        """The network is another one now; what was heard before is not told any more."""
        if zone != self._zone:
            self._zone = zone
            self._version += 1

    def at_once(self, question: Question, may_ask: bool) -> Content | None:
        """What can be said without asking anybody; None where others have to be asked.

        Where nobody may be asked, what others have said is not told either: only what is known here.
        """
        asked = meaning(question, self._zone)
        if isinstance(asked, Elsewhere):
            return self._elsewhere_at_once(asked, question, may_ask)
        values = self._known_here(asked)
        if not values and may_ask and self._may_be_elsewhere(asked):
            heard = self._heard.known((self._version, asked))
            if heard is None:
                return None
            values = heard[0].values
        return self._content(question, asked, values)

    async def sought(self, question: Question) -> Content:
        """What others say."""
        asked = meaning(question, self._zone)
        if isinstance(asked, Elsewhere):
            return await self._outside.content(question)
        zone = self._zone
        heard = await self._heard.answer((self._version, asked), lambda: self._ask_mesh(zone, asked))
        if not heard.values and not heard.is_certain:
            return FAILED
        return self._content(question, asked, heard.values)

    def how_many(self, question: Question) -> int:
        """How many others are asked for what cannot be said at once."""
        return len(self._zone.neighbours) if isinstance(meaning(question, self._zone), Named) else 1

    def close(self) -> None:
        """Asks nobody any more."""
        self._heard.close()
        self._mesh.close()
        self._outside.close()

    def _elsewhere_at_once(self, asked: Elsewhere, question: Question, may_ask: bool) -> Content | None:
        match asked:
            case Elsewhere.NETWORK:
                return nothing(self._zone.apex)
            case Elsewhere.NOWHERE:
                return nowhere_content(question)
            case Elsewhere.OUTSIDE:
                return self._outside.known(question) if may_ask else REFUSED
            case Elsewhere.REFUSED:
                return REFUSED

    def _known_here(self, asked: Named | Numbered) -> tuple[str, ...]:
        names = self._local()
        if isinstance(asked, Named):
            return (str(names[asked.name]),) if asked.name in names else ()
        return tuple(name for name, address in names.items() if address == asked.address)

    def _may_be_elsewhere(self, asked: Named | Numbered) -> bool:
        if isinstance(asked, Named):
            return bool(self._zone.neighbours)
        return any(asked.address in subnet for subnet in self._zone.neighbours)

    async def _ask_mesh(self, zone: MeshZone, asked: Named | Numbered) -> tuple[Heard, float]:
        if isinstance(asked, Named):
            heard = await self._mesh.addresses(zone, asked.name)
        else:
            heard = await self._mesh.names(zone, asked.address)
        if heard.values:
            return heard, FOUND_SECONDS
        return heard, NOTHING_SECONDS if heard.is_certain else 0

    def _content(self, question: Question, asked: Named | Numbered, values: tuple[str, ...]) -> Content:
        if isinstance(asked, Named):
            return addresses_content(question, self._zone, map(IPv4Address, values))
        return names_content(question, self._zone, values)
