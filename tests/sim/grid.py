"""The grid of the simulated world: what users reserve, and what the node has said of it. Plain data."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Network

from attrs import define, field

from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.polling import Polled, Request
from zosfsm.lifecycles.public_data import PublicWish
from zosfsm.lifecycles.resource import NETWORK, DeleteAsked, NetworkFacts, PeerFacts, ReservationFacts

NODE = "node"


@define(eq=False)
class Reservation:
    """One reservation and its fate."""

    number: int
    facts: ReservationFacts
    to_delete: bool = False
    is_marked_deleted: bool = False
    results: list[Outcome] = field(factory=list)

    @property
    def identifier(self) -> str:
        """The network resource that it is about."""
        return self.facts.network.identifier if self.facts.network else f"r-{self.facts.reservation_id}"

    @property
    def request(self) -> Request:
        """What the node reads of it."""
        facts = self.facts
        if self.to_delete:
            return Request(self.identifier, DeleteAsked(facts.reservation_id, facts.workload))
        return Request(self.identifier, facts)


@define(eq=False)
class SimGrid:
    """`answers`: it can be reached; `accepts`: it knows the farm and takes nodes.

    `public_wish` is what the farmer wishes for the public interface, if anything.
    """

    answers: bool = True
    accepts: bool = True
    knows_the_node: bool = False
    publications: int = 0
    public_wish: PublicWish | None = None
    reservations: list[Reservation] = field(factory=list)

    def reserve(
        self,
        identifier: str,
        now: datetime,
        port: int = 3000,
        lasts: timedelta = timedelta(days=30),
        signed: bool = True,
        peers: tuple[PeerFacts, ...] = (),
        user: str = "user",
        sealed_private_key: str = "ab",
    ) -> Reservation:
        """A user's wish for a network, or for a new version of it."""
        number = len(self.reservations)
        network = NetworkFacts(
            identifier,
            identifier,
            IPv4Network("10.1.0.0/16"),
            IPv4Network("10.1.1.0/24"),
            port,
            f"key {number}",
            sealed_private_key,
            peers,
        )
        facts = ReservationFacts(f"{number}-1", user, NODE, NODE, NETWORK, now + lasts, signed, "", network)
        reservation = Reservation(number, facts)
        self.reservations.append(reservation)
        return reservation

    def delete(self, reservation: Reservation) -> None:
        """A user's wish for the end of it."""
        reservation.to_delete = True

    def polled(self, cursor: int) -> Polled | None:
        """Everything from the cursor on, and all that is to be deleted; None where there is nothing new."""
        found = [
            one for one in self.reservations if one.number >= cursor or (one.to_delete and not one.is_marked_deleted)
        ]
        if not found and cursor > 0:
            return None
        return Polled(max([cursor, *(one.number + 1 for one in found)]), tuple(one.request for one in found))

    def hear(self, outcome: Outcome) -> None:
        """The node's word on a reservation."""
        reservation = next(one for one in self.reservations if one.facts.reservation_id == outcome.reservation_id)
        if outcome.fate is Fate.DELETED:
            reservation.is_marked_deleted = True
        else:
            reservation.results.append(outcome)
