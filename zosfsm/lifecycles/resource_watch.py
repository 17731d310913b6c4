"""How a network resource that is up is watched: how often, and for what. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from zosfsm.lifecycles.resource_data import NetworkFacts, Place
from zosfsm.lifecycles.resource_effects import WatchNetwork
from zosfsm.lifecycles.resource_routes import having_fallback, routed, with_fallback

# The first look sees the first handshakes, so that a peer with a fallback soon has its routes itself.
FIRST_LOOK = timedelta(seconds=5)
LOOK_EVERY = timedelta(seconds=60)
# For about so long at most do the two ends of a pair not agree on its way, and packets are lost.
LOOK_EVERY_WITH_FALLBACK = timedelta(seconds=15)
# So old may a session be that is used (REJECT_AFTER_TIME of the WireGuard paper); a living one is renewed earlier.
SILENT_AFTER = timedelta(seconds=180)


def watching(network: NetworkFacts, place: Place, direct: Collection[str]) -> WatchNetwork:
    """What is to be watched of the network while the peers in `direct` have their routes themselves."""
    doubled = with_fallback(network)
    return WatchNetwork(
        network=routed(network, direct),
        place=place,
        with_fallback=doubled,
        direct=having_fallback(network, direct),
        first=FIRST_LOOK,
        every=LOOK_EVERY_WITH_FALLBACK if doubled else LOOK_EVERY,
        silent_after=SILENT_AFTER,
    )
