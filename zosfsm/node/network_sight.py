"""What was seen of a network resource's peers, for the status. Data only."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from zosfsm.kernel.wireguard import PeerStatus


@frozen(eq=False)
class NetworkSight:
    """The peers as they were at a moment; `alive` are the public keys of those whose session was still in use."""

    at: datetime
    peers: tuple[PeerStatus, ...]
    alive: frozenset[str]
