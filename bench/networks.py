"""A hundred network resources built and torn down: as the node does it, and with one command for each object."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from attrs import frozen

from bench import network_commands
from bench.options import Options
from bench.plans import DMZ_MAC, MOST_PLANS, plan
from bench.table import Row, Table
from zosfsm.kernel import dmz, network_resource
from zosfsm.kernel.links import Links
from zosfsm.kernel.network_resource import NetworkPlan
from zosfsm.kernel.wireguard import WireGuard
from zosfsm.kernel.wireguard_backend import offered
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard

NETWORKS = 100

_UPLINK_BRIDGE = "zos"
_EDGE = 10
_BUILDING_SHARE = 0.7
_SETTLING_SECONDS = 5.0

Step = Callable[[NetworkPlan], None]
Samples = dict[str, list[float]]


@frozen
class Way:
    """One way to build and tear down: the steps of a build, in order, and the step that undoes them."""

    name: str
    build: Mapping[str, Step]
    teardown: Step


def measure(options: Options) -> Table:
    """All networks one way, then the other, each from an empty node with its DMZ."""
    wireguard = offered()
    ways = (_in_process(wireguard), _by_commands(wireguard))
    samples: Samples = defaultdict(list)
    found: set[str] = set()
    _build_dmz()
    try:
        for number, way in enumerate(ways):
            # Whoever comes first must leave half of the time that is left.
            deadline = options.deadline - (options.deadline - time.monotonic()) * (1 - (number + 1) / len(ways))
            found |= _one_way(way, options, deadline, wireguard, samples)
    finally:
        _remove_dmz()
    return Table("networks", "One network resource", rows(ways, samples), _notes(wireguard, found))


def _one_way(way: Way, options: Options, deadline: float, wireguard: WireGuard, samples: Samples) -> set[str]:
    """Measures one way; answers what the node's own check finds wrong with the last network that it built."""
    until = time.monotonic() + (deadline - time.monotonic()) * _BUILDING_SHARE
    built: list[NetworkPlan] = []
    try:
        for number in range(min(options.count(NETWORKS), MOST_PLANS)):
            if number and time.monotonic() > until:
                break
            built.append(plan(number))
            _timed_build(way, built[-1], samples)
        found = set(network_resource.differences(built[-1], wireguard))
    finally:
        for each in reversed(built):
            samples[f"{way.name}: tear down"].append(_milliseconds(partial(way.teardown, each)))
    # The kernel takes down in the background: the next way must not pay for it.
    began = time.monotonic()
    while network_resource.present() and time.monotonic() - began < _SETTLING_SECONDS:
        time.sleep(0.01)
    samples[f"{way.name}: until the kernel is empty, after the last one"].append((time.monotonic() - began) * 1000)
    return found


def _timed_build(way: Way, each: NetworkPlan, samples: Samples) -> None:
    whole = 0.0
    for name, step in way.build.items():
        milliseconds = _milliseconds(partial(step, each))
        samples[f"{way.name}: {name}"].append(milliseconds)
        whole += milliseconds
    samples[f"{way.name}: build"].append(whole)


def _milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _in_process(wireguard: WireGuard) -> Way:
    return Way(
        "zosfsm",
        {
            "links": network_resource.ensure_links,
            "firewall": network_resource.ensure_firewall,
            "tunnel": lambda each: network_resource.ensure_tunnel(each, wireguard),
        },
        lambda each: network_resource.teardown(each.identifier, wireguard),
    )


def _by_commands(wireguard: WireGuard) -> Way:
    user_space = isinstance(wireguard, UserspaceWireGuard)
    return Way(
        "commands",
        {
            "links": network_commands.links,
            "firewall": network_commands.firewall,
            "tunnel": network_commands.user_space_tunnel if user_space else network_commands.kernel_tunnel,
        },
        network_commands.teardown,
    )


def _build_dmz() -> None:
    with Links(None) as links:
        links.ensure_bridge(_UPLINK_BRIDGE)
        links.set_up(_UPLINK_BRIDGE)
    dmz.ensure(DMZ_MAC)


def _remove_dmz() -> None:
    dmz.teardown()
    with Links(None) as links:
        links.delete(_UPLINK_BRIDGE)


def rows(ways: Iterable[Way], samples: Samples) -> tuple[Row, ...]:
    rows = []
    for way in ways:
        for total, parts in (("build", tuple(way.build)), ("tear down", ())):
            taken = samples[f"{way.name}: {total}"]
            rows.append(Row(f"{way.name}: {total}", "ms", tuple(taken)))
            rows += [Row(f"  of which {part}", "ms", tuple(samples[f"{way.name}: {part}"])) for part in parts]
            if len(taken) > 2 * _EDGE:
                # The last networks to be torn down are the first of an empty kernel.
                rows.append(Row(f"  the first {_EDGE}", "ms", tuple(taken[:_EDGE])))
                rows.append(Row(f"  the last {_EDGE}", "ms", tuple(taken[-_EDGE:])))
        label = f"{way.name}: until the kernel is empty, after the last one"
        rows.append(Row(label, "ms", tuple(samples[label])))
    return tuple(rows)


def _notes(wireguard: WireGuard, found: set[str]) -> tuple[str, ...]:
    checked = f"finds in the last network of either way: {'; '.join(sorted(found)) or 'no difference from its plan'}"
    kind = "wireguard-go, one process a network," if isinstance(wireguard, UserspaceWireGuard) else "the kernel's"
    return (
        "Each: namespace, bridge, veth, macvlan to the DMZ, addresses, routes, sysctls, firewall with NAT, WireGuard "
        "with two peers. Both ways build the same; the node looks at what is there before it changes anything, and its "
        "teardown waits until the tunnel's process has ended.",
        f"WireGuard here is {kind} on both sides, and included.",
        "commands: one process for each object (ip, nft, wg, sysctl), started from here, one after the other.",
        f"The node's own check {checked}.",
    )
