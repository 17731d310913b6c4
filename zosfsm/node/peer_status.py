"""What the status says of a network resource's peers: from what is reserved and what was seen. Pure, and without keys
that are secret.
"""

from __future__ import annotations

from datetime import timedelta

from zosfsm.fsm.machine import Instance
from zosfsm.kernel.wireguard import Endpoint, PeerStatus
from zosfsm.lifecycles.resource import NetworkFacts, PeerFacts, ResourceData
from zosfsm.lifecycles.resource_routes import fallback_of
from zosfsm.node.network_sight import NetworkSight
from zosfsm.node.prometheus import NetworkFigures
from zosfsm.node.status_entries import PeerEntry, WarningEntry
from zosfsm.node.warning_codes import CODES, sentence

# A node calls its peers every 20 s; one that has not answered by then is not just late.
PATIENCE = timedelta(minutes=3)
MOST_NAMED = 3


def peer_entries(data: ResourceData, sight: NetworkSight | None) -> tuple[PeerEntry, ...]:
    """The peers of the version that is up or worked on, as they were seen last."""
    network = data.present.network if data.present else None
    if network is None:
        return ()
    seen = {peer.public_key: peer for peer in sight.peers} if sight else {}
    alive = sight.alive if sight else frozenset()
    return tuple(
        _entry(peer, seen.get(peer.public_key), peer.public_key in alive, _via(network, peer, data.direct))
        for peer in network.peers
    )


def network_figures(sight: NetworkSight | None) -> NetworkFigures | None:
    """What Prometheus gets of a network resource; None before it was looked at."""
    if sight is None:
        return None
    handshakes = [peer.last_handshake for peer in sight.peers if peer.last_handshake is not None]
    return NetworkFigures(
        peers=len(sight.peers),
        alive=len(sight.alive),
        last_handshake=max(handshakes, default=None),
        received_bytes=sum(peer.received_bytes for peer in sight.peers),
        sent_bytes=sum(peer.sent_bytes for peer in sight.peers),
    )


def silent_peers_warning(instance: Instance, sight: NetworkSight | None) -> WarningEntry | None:
    """Peers that this node calls and that never answered. One that calls by itself may be a laptop that is off."""
    data = instance.data
    if not isinstance(data, ResourceData) or instance.state != "active" or sight is None:
        return None
    if sight.at < instance.since + PATIENCE or data.current is None or data.current.network is None:
        return None
    network = data.current.network
    mute = {peer.public_key for peer in sight.peers if peer.last_handshake is None}
    silent = [peer for peer in network.peers if peer.endpoint is not None and peer.public_key in mute]
    if not silent:
        return None
    named = [_named(peer, _via(network, peer, data.direct)) for peer in silent[:MOST_NAMED]]
    more = [f"{len(silent) - MOST_NAMED} more"] if len(silent) > MOST_NAMED else []
    evidence = f"no handshake ever with {', '.join([*named, *more])}"
    subject = instance.name.replace(":", " ")
    return WarningEntry(
        "peer-silent", sentence(subject, evidence, CODES["peer-silent"]), instance.name, instance.since + PATIENCE
    )


def _entry(peer: PeerFacts, seen: PeerStatus | None, alive: bool, via: str | None) -> PeerEntry:
    endpoint = (seen.endpoint if seen else None) or peer.endpoint
    return PeerEntry(
        public_key=peer.public_key,
        routes=peer.allowed_ips,
        via=via,
        endpoint=_text(endpoint) if endpoint else None,
        alive=alive,
        last_handshake=seen.last_handshake if seen else None,
        received_bytes=seen.received_bytes if seen else 0,
        sent_bytes=seen.sent_bytes if seen else 0,
    )


def _via(network: NetworkFacts, peer: PeerFacts, direct: tuple[str, ...]) -> str | None:
    fallback = None if peer.public_key in direct else fallback_of(network, peer)
    return fallback.public_key if fallback else None


def _named(peer: PeerFacts, via: str | None) -> str:
    subnet = str(peer.allowed_ips[0]) if peer.allowed_ips else f"peer {peer.public_key}"
    assert peer.endpoint is not None
    return f"{subnet} at {_text(peer.endpoint)}{' (its fallback has its routes)' if via else ''}"


def _text(endpoint: Endpoint) -> str:
    address, port = endpoint
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
