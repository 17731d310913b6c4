"""From the grid's documents to the facts that the machines judge: signatures are checked, fields are read. Pure.

Nothing is refused here: what is wrong with a reservation becomes a fact, and states/resource.toml decides.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network

from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.network import NetResource, NetworkReservation, Peer, network_identifier, parted
from zosfsm.grid.reservations import Poll, Reservation, ReservationType, Unreadable
from zosfsm.grid.signing import reservation_holds
from zosfsm.lifecycles.polling import Polled, Request
from zosfsm.lifecycles.resource import DeleteAsked, NetworkFacts, PeerFacts, ReservationFacts


def polled(poll: Poll, own_node_id: str) -> Polled:
    """The grid's answer in the order in which it asks for things."""
    requests = [request_of(reservation, own_node_id) for reservation in poll.reservations]
    requests += [_unreadable(bad, own_node_id) for bad in poll.unreadable if bad.id]
    return Polled(poll.next_number, tuple(requests))


def request_of(reservation: Reservation, own_node_id: str) -> Request:
    """One reservation, as the machine that it concerns wants it."""
    network, problem = _network(reservation, own_node_id)
    workload = reservation.type.value
    key = network.identifier if network else f"r-{reservation.id}"
    if reservation.to_delete:
        return Request(key, DeleteAsked(reservation.id, workload))
    facts = ReservationFacts(
        reservation_id=reservation.id,
        user_id=reservation.user_id,
        node_id=reservation.node_id,
        own_node_id=own_node_id,
        workload=workload,
        expiry=reservation.expires,
        signature_holds=reservation_holds(reservation),
        problem=problem,
        network=network,
    )
    return Request(key, facts)


def _network(reservation: Reservation, own_node_id: str) -> tuple[NetworkFacts | None, str]:
    if reservation.type is not ReservationType.NETWORK:
        return None, ""
    try:
        document = NetworkReservation.from_text(reservation.data)
        resource = document.resource_of(own_node_id)
    except DocumentInvalid as refusal:
        return None, str(refusal)
    return _facts(network_identifier(reservation.user_id, document.name), document, resource), ""


def _facts(identifier: str, document: NetworkReservation, resource: NetResource) -> NetworkFacts:
    return NetworkFacts(
        identifier=identifier,
        name=document.name,
        ip_range=document.ip_range,
        subnet=resource.subnet,
        listen_port=resource.wg_listen_port,
        public_key=resource.wg_public_key,
        sealed_private_key=resource.wg_private_key,
        peers=tuple(_peer(peer, fallback) for peer, fallback in parted(resource)),
    )


def _peer(peer: Peer, fallback: tuple[IPv4Network | IPv6Network, ...]) -> PeerFacts:
    endpoint = (peer.endpoint.address, peer.endpoint.port) if peer.endpoint else None
    return PeerFacts(peer.wg_public_key, peer.allowed_ips, endpoint, fallback)


def _unreadable(bad: Unreadable, own_node_id: str) -> Request:
    facts = ReservationFacts(
        reservation_id=bad.id,
        user_id="",
        node_id=own_node_id,
        own_node_id=own_node_id,
        workload=ReservationType.NETWORK.value,
        expiry=datetime.max.replace(tzinfo=UTC),
        signature_holds=True,
        problem=bad.reason,
        network=None,
    )
    return Request(f"r-{bad.id}", facts)
