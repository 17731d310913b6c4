"""How network resources look: one line each, one line a peer, and one resource in detail. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from zosfsm.cli.blocks import Block, length_of
from zosfsm.node.sentences import moment_in_words, state_sentence
from zosfsm.node.status_entries import PeerEntry, ResourceEntry, Status

MOST_ROUTES = 3
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def resources(status: Status, now: datetime) -> Block:
    """All of them; of the peers how many are alive, of how many."""
    rows = tuple(
        (
            resource.id,
            resource.name or "",
            resource.state,
            _age(resource, now),
            str(resource.subnet or ""),
            str(resource.port or ""),
            str(resource.dmz_address or ""),
            _peers(resource),
            moment_in_words(resource.expiry) if resource.expiry else "",
        )
        for resource in status.resources
    )
    headings = ("resource", "name", "state", "age", "subnet", "port", "dmz address", "peers", "expiry")
    return Block(headings, rows)


def peers(status: Status, now: datetime) -> Block:
    """The peers of all of them."""
    rows = tuple((resource.id, *row) for resource in status.resources for row in _peer_rows(resource, now))
    return Block(("resource", *_PEER_HEADINGS), rows)


def workloads(status: Status) -> Block:
    """What has joined them."""
    rows = tuple(
        (
            workload.name or "(tap)",
            resource.id,
            resource.name or "",
            workload.state,
            ", ".join(map(str, workload.addresses)),
        )
        for resource in status.resources
        for workload in resource.workloads
    )
    return Block(("workload", "network", "name", "state", "addresses"), rows)


def details(resource: ResourceEntry, now: datetime) -> Iterator[Block]:
    """Everything that the status says of one of them, but for its workloads."""
    state = f"{resource.state}, for {length_of(now - resource.since)}: {state_sentence('resource', resource.state)}"
    told = (
        ("name", resource.name),
        ("state", state),
        ("reason", resource.reason),
        ("age", _age(resource, now)),
        ("expiry", resource.expiry and f"{moment_in_words(resource.expiry)}, in {length_of(resource.expiry - now)}"),
        ("user", resource.user),
        ("reservation", resource.reservation),
        ("subnet", resource.subnet and f"{resource.subnet} of {resource.range}"),
        ("port", resource.port and f"UDP {resource.port}"),
        ("dmz address", resource.dmz_address),
        ("peers", f"{_peers(resource)} alive{_looked_at(resource, now)}"),
    )
    yield Block(("resource", resource.id), tuple((name, str(value)) for name, value in told if value))
    yield Block(_PEER_HEADINGS, tuple(_peer_rows(resource, now)))


_PEER_HEADINGS = ("peer", "endpoint", "handshake", "received", "sent", "way", "public key")


def _peer_rows(resource: ResourceEntry, now: datetime) -> Iterator[tuple[str, ...]]:
    by_key = {peer.public_key: peer for peer in resource.peers}
    for peer in resource.peers:
        way = f"by {_routes(by_key[peer.via])}" if peer.via in by_key else "direct"
        yield (
            _routes(peer),
            peer.endpoint or ("has not called" if resource.seen else "?"),
            _handshake(resource, peer, now),
            _bytes(peer.received_bytes),
            _bytes(peer.sent_bytes),
            way,
            peer.public_key,
        )


def _routes(peer: PeerEntry) -> str:
    more = len(peer.routes) - MOST_ROUTES
    told = [*map(str, peer.routes[:MOST_ROUTES]), *([f"{more} more"] if more > 0 else [])]
    return ", ".join(told) or "nothing"


def _handshake(resource: ResourceEntry, peer: PeerEntry, now: datetime) -> str:
    if peer.last_handshake is None:
        return "never" if resource.seen else "?"
    return f"{length_of(now - peer.last_handshake)} ago{'' if peer.alive else ', silent'}"


def _peers(resource: ResourceEntry) -> str:
    """Those that are alive, of all."""
    alive = sum(peer.alive for peer in resource.peers) if resource.seen else "?"
    return f"{alive}/{len(resource.peers)}"


def _looked_at(resource: ResourceEntry, now: datetime) -> str:
    return f", looked at {length_of(now - resource.seen)} ago" if resource.seen else ", not looked at yet"


def _age(resource: ResourceEntry, now: datetime) -> str:
    return length_of(now - resource.built) if resource.built else ""


def _bytes(count: int) -> str:
    """`0 B`, `1.4 MiB`."""
    size, unit = float(count), 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{count} {_UNITS[0]}"
