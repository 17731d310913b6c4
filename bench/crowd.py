"""One network resource of very many peers: built, one peer added, looked at, torn down."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from attrs import evolve

from bench.networks import applied, dmz_alone, milliseconds
from bench.options import Options
from bench.plans import MOST_PEERS, crowded
from bench.table import Row, Table
from zosfsm.kernel import network_resource
from zosfsm.kernel.network_look import look, look_again
from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.wireguard import WireGuard
from zosfsm.kernel.wireguard_backend import offered

RUNS = 3

NOTES = (
    "In the kernel room alone. Built without the last peer, which the update then adds with its route: everything is "
    "looked at, the difference is made, and everything is looked at again.",
    "An unchanged look is what a node does again and again: the fingerprint of the namespace, and the peers.",
)


def measure(options: Options) -> Table:
    """From an empty node with its DMZ, as often as asked."""
    wireguard = offered()
    samples: dict[str, list[float]] = defaultdict(list)
    with dmz_alone():
        for _ in options.rounds(RUNS):
            _once(crowded(MOST_PEERS), wireguard, samples)
    rows = tuple(Row(label, "ms", tuple(found)) for label, found in samples.items())
    return Table("crowd", f"One network resource with {MOST_PEERS} peers", rows, NOTES)


def _once(plan: NetworkPlan, wireguard: WireGuard, samples: dict[str, list[float]]) -> None:
    before = evolve(plan, peers=plan.peers[:-1])
    try:
        samples["build"].append(milliseconds(lambda: network_resource.make(before, wireguard)))
        samples["update, one peer more"].append(milliseconds(lambda: applied(plan, wireguard)))
        samples["look at everything"].append(milliseconds(lambda: look(plan, wireguard)))
        known = look_again(plan, wireguard, b"").fingerprint
        samples["look where nothing has changed"].append(milliseconds(lambda: look_again(plan, wireguard, known)))
    finally:
        teardown = partial(network_resource.teardown, plan.identifier, wireguard)
        samples["tear down"].append(milliseconds(teardown))
