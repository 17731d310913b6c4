"""Network resources built, updated and torn down: as the node does it, in a bare loop, with one command an object."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from attrs import frozen

from bench import network_commands
from bench.errors import BenchFailed
from bench.kernel_floor import KernelFloor
from bench.options import Options
from bench.plans import DMZ_MAC, plan, updated
from bench.table import Row, Table
from zosfsm.kernel import dmz, leftovers, network_resource
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_look import differences
from zosfsm.kernel.network_plan import NetworkPlan
from zosfsm.kernel.wireguard import WireGuard
from zosfsm.kernel.wireguard_backend import offered
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard

_UPLINK_BRIDGE = "zos"
_STAGES = (10, 100, 1000)
_SHARES = {"build": 0.5, "update": 0.6}
"""Of a way's time: when no more is begun. Tearing down is never left out."""
_SETTLING_SECONDS = 10.0
_EMPTY = "until the kernel is empty, after the last one"

Step = Callable[[NetworkPlan], None]
Samples = dict[str, list[float]]


@frozen
class Way:
    """One way: the steps of a build, in order; the change to the next version; the step that undoes all."""

    name: str
    build: Mapping[str, Step]
    update: Callable[[NetworkPlan, NetworkPlan], None]
    teardown: Step


def measure(options: Options) -> Table:
    """All networks one way, then the other, each from an empty node with its DMZ."""
    wireguard = offered()
    samples: Samples = defaultdict(list)
    found: set[str] = set()
    with dmz_alone():
        ways = _ways(wireguard, options.networks)
        for number, way in enumerate(ways):
            # Whoever comes first must leave to the others their part of the time that is left.
            seconds = (options.deadline - time.monotonic()) / (len(ways) - number)
            found |= _one_way(way, options.networks, seconds, wireguard, samples)
    rows = tuple(row for way in ways for row in rows_of(way, samples))
    return Table("networks", "One network resource", rows, _notes(wireguard, found))


@contextmanager
def dmz_alone() -> Iterator[None]:
    """A node's DMZ over a bridge that leads nowhere."""
    with Links(None) as links:
        links.ensure_bridge(_UPLINK_BRIDGE)
        links.set_up(_UPLINK_BRIDGE)
    dmz.ensure(DMZ_MAC)
    try:
        yield
    finally:
        dmz.teardown()
        with Links(None) as links:
            links.delete(_UPLINK_BRIDGE)


def _one_way(way: Way, networks: int, seconds: float, wireguard: WireGuard, samples: Samples) -> set[str]:
    """Measures one way; answers what the node's own check finds wrong with the last network that it made."""
    began = time.monotonic()
    until = {part: began + seconds * share for part, share in _SHARES.items()}
    built: list[NetworkPlan] = []
    try:
        while len(built) < networks and (not built or time.monotonic() < until["build"]):
            built.append(plan(len(built)))
            _timed_build(way, built[-1], samples)
        for before in built:
            if before is not built[0] and time.monotonic() > until["update"]:
                break
            after = updated(before)
            samples[f"{way.name}: update"].append(milliseconds(partial(way.update, before, after)))
            found = set(differences(after, wireguard))
    finally:
        for each in reversed(built):
            samples[f"{way.name}: tear down"].append(milliseconds(partial(way.teardown, each)))
    # The kernel takes down in the background: the next way must not pay for it.
    began = time.monotonic()
    while leftovers.networks() and time.monotonic() - began < _SETTLING_SECONDS:
        time.sleep(0.01)
    samples[f"{way.name}: {_EMPTY}"].append((time.monotonic() - began) * 1000)
    return found


def _timed_build(way: Way, each: NetworkPlan, samples: Samples) -> None:
    whole = 0.0
    for name, step in way.build.items():
        taken = milliseconds(partial(step, each))
        samples[f"{way.name}: {name}"].append(taken)
        whole += taken
    samples[f"{way.name}: build"].append(whole)


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def applied(plan: NetworkPlan, wireguard: WireGuard) -> None:
    """As the node applies a new version: it looks, changes what differs, and looks again."""
    if differences(plan, wireguard):
        network_resource.make(plan, wireguard)
        if found := differences(plan, wireguard):
            raise BenchFailed(f"expected no difference after an update, found: {found[0]}")


def _ways(wireguard: WireGuard, networks: int) -> tuple[Way, ...]:
    ways = (_in_process(wireguard), _by_commands(wireguard))
    if not isinstance(wireguard, UserspaceWireGuard):
        return ways
    plans = map(plan, range(networks))
    return (ways[0], _bare(KernelFloor((each, updated(each)) for each in plans)), ways[1])


def _in_process(wireguard: WireGuard) -> Way:
    return Way(
        "zosfsm",
        {
            "namespace": network_resource.make_namespace,
            "firewall": network_resource.make_firewall,
            "links": network_resource.make_links,
            "tunnel": lambda each: network_resource.make_tunnel(each, wireguard),
        },
        lambda _before, after: applied(after, wireguard),
        lambda each: network_resource.teardown(each.identifier, wireguard),
    )


def _bare(floor: KernelFloor) -> Way:
    return Way(
        "bare loop",
        {
            "namespace": floor.namespace,
            "its settings": floor.settings,
            "firewall": floor.firewall,
            "bridge": floor.bridge,
            "veth": floor.veth,
            "macvlan": floor.macvlan,
            "links on, addresses, routes": floor.addresses,
            "wireguard-go started": floor.process,
            "tunnel moved to the namespace": floor.move,
            "tunnel configured, address, routes": floor.configuration,
        },
        lambda before, _after: floor.update(before),
        floor.teardown,
    )


def _by_commands(wireguard: WireGuard) -> Way:
    user_space = isinstance(wireguard, UserspaceWireGuard)
    return Way(
        "commands",
        {
            "namespace": network_commands.namespace,
            "firewall": network_commands.firewall,
            "links": network_commands.links,
            "tunnel": network_commands.user_space_tunnel if user_space else network_commands.kernel_tunnel,
        },
        network_commands.update,
        network_commands.teardown,
    )


def rows_of(way: Way, samples: Samples) -> Iterator[Row]:
    """Whether time grows is seen by how many networks there are already."""
    built = samples[f"{way.name}: build"]
    yield Row(f"{way.name}: build", "ms", tuple(built))
    yield from _staged(built)
    for part in way.build:
        yield Row(f"  of which {part}", "ms", tuple(samples[f"{way.name}: {part}"]))
    yield Row(f"{way.name}: update, one peer more", "ms", tuple(samples[f"{way.name}: update"]))
    taken = samples[f"{way.name}: tear down"]
    yield Row(f"{way.name}: tear down", "ms", tuple(taken))
    yield from _staged(taken[::-1])
    label = f"{way.name}: {_EMPTY}"
    yield Row(label, "ms", tuple(samples[label]))


def _staged(samples: Sequence[float]) -> Iterator[Row]:
    """`samples` in the order of how many there are; rows only where there is more than one stage."""
    first = 0
    for last in _STAGES if len(samples) > _STAGES[0] else ():
        if len(samples) > first:
            yield Row(f"  with {first} to {min(last, len(samples))} there", "ms", tuple(samples[first:last]))
        first = last


def _notes(wireguard: WireGuard, found: set[str]) -> tuple[str, ...]:
    checked = f"finds in the last networks: {'; '.join(sorted(found)) or 'no difference from their plans'}"
    kind = "wireguard-go, one process a network," if isinstance(wireguard, UserspaceWireGuard) else "the kernel's"
    return (
        "Each: namespace, bridge, veth, macvlan to the DMZ, addresses, routes, sysctls, firewall with NAT, WireGuard "
        "with two peers. All ways build the same. The node looks at what is there before it changes anything, waits "
        "until the tunnel's port is bound, and its teardown waits until everything is gone.",
        f"WireGuard here is {kind} in all ways, and included.",
        "bare loop: the same kernel objects by prepared netlink messages, libnftables and a spawned wireguard-go; it "
        "looks at nothing, and its teardown waits for the process. One network after the other in all ways.",
        "commands: one process for each object (ip, nft, wg, sysctl), started from here, one after the other.",
        f"The node's own check {checked}.",
    )
