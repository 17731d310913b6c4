"""What a network resource asks of the world: the steps of its build, the inverse of each, and the rest. Data only.

Every effect may be repeated, and an inverse undoes also a half of its step, or nothing at all. A step that fails says
step_failed, with the cause.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect
from zosfsm.lifecycles.resource_data import NetworkFacts, Place


@frozen
class ReservePort(Effect):
    """Make the port and a DMZ address this resource's own; answers reserved."""

    network: NetworkFacts
    place: Place | None


@frozen
class ReleasePort(Effect):
    """Undo ReservePort: others may have both; answers undone."""

    identifier: str


@frozen
class MakeNamespace(Effect):
    """Make the namespace, which routes and has no links; answers built."""

    network: NetworkFacts
    place: Place


@frozen
class RemoveNamespace(Effect):
    """Undo MakeNamespace; answers undone."""

    identifier: str


@frozen
class SecureNetwork(Effect):
    """Put the namespace's firewall in place; answers secured."""

    network: NetworkFacts
    place: Place


@frozen
class OpenNetwork(Effect):
    """Undo SecureNetwork: the namespace has no firewall; answers undone."""

    identifier: str


@frozen
class MakeLinks(Effect):
    """Make the LAN, its bridge and the way to the DMZ; answers connected."""

    network: NetworkFacts
    place: Place


@frozen
class RemoveLinks(Effect):
    """Undo MakeLinks; answers undone."""

    identifier: str


@frozen
class MakeTunnel(Effect):
    """Make the WireGuard tunnel and tell it its peers; answers connected."""

    network: NetworkFacts
    place: Place


@frozen
class RemoveTunnel(Effect):
    """Undo MakeTunnel: its process and its UDP port are gone too; answers undone."""

    identifier: str


@frozen
class VerifyNetwork(Effect):
    """Compare the kernel with the reservation; answers verified."""

    network: NetworkFacts
    place: Place


@frozen
class ApplyNetwork(Effect):
    """All steps at once, each as the difference to what is there; answers applied, with the first difference.

    `moved` are the public keys of the peers that are to be called elsewhere than they are: a look alone cannot tell
    them from peers that have roamed.
    """

    network: NetworkFacts
    place: Place | None
    moved: tuple[str, ...] = ()


@frozen
class AdoptNetwork(Effect):
    """The same of a network that was up when the node was stopped, and has its place still; answers applied."""

    network: NetworkFacts
    place: Place | None


@frozen
class WatchNetwork(Effect):
    """Look at it as long as the machine stays in its state; tell watched once it is not as it is said to be here.

    That is: the kernel has something else than `network` and `place`, or of the peers `with_fallback` others than
    `direct` have shaken hands within `silent_after`. A look that fails says nothing. `first` is how long after now.
    """

    network: NetworkFacts
    place: Place
    with_fallback: tuple[str, ...]
    direct: tuple[str, ...]
    first: timedelta
    every: timedelta
    silent_after: timedelta


@frozen
class TearDownNetwork(Effect):
    """Undo all steps at once, in the quickest order; answers torn_down."""

    identifier: str
