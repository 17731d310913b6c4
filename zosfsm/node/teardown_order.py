"""In which order a node's machines are told to tear down: what stands on something goes before it. Decides no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zosfsm.fsm.machine import Instance
from zosfsm.node.status_document import SINGLETONS


def teardown_layers(instances: Mapping[str, Instance]) -> Iterator[list[str]]:
    """New work, workloads, networks, their way out, NICs, the uplink: each asked for when the one before it is gone.

    An interface ends its paths, and these their leases: only what was left over by a fault hears it here.
    """
    yield ["registration", "polling"]
    yield of_kind("workload", instances)
    yield of_kind("resource", instances)
    yield ["dmz"]
    yield ["public"]
    for kind in ("interface", "path", "lease"):
        yield of_kind(kind, instances)
    # All of them: what connectivity said in the meantime may have brought some back to life.
    yield list(SINGLETONS)


def of_kind(kind: str, names: Iterable[str]) -> list[str]:
    """The machines of that kind, of which there are several."""
    return [name for name in names if name.startswith(f"{kind}:")]
