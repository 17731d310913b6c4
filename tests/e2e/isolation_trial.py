"""Tries the cells of the isolation matrix; isolation.py says what they are.

Every attempt that must fail is paired with two that must not: the same attempt by somebody who may, on the same
target, and by the same source on a target that it may reach. So it is the node that says no, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.isolation import DESTINATIONS, Destination, Source, View, allowed, is_tried
from tests.e2e.probing import EVERY_KIND, Kind, demand_ways, ways
from tests.e2e.tenants import Scene, in_place

# A closed cell is a wait, not work.
_AT_ONCE = 8


def view_of(scene: Scene, name: str, owner: str = "alice") -> View:
    """The node of that name as the network of `owner` has it."""
    (elsewhere,) = (around for other, around in scene.around.items() if other != name)
    return View(scene.around[name], elsewhere, owner)


def tried(scene: Scene, source: Source, view: View, besides: tuple[Destination, ...] = ()) -> list[str]:
    """Every cell of the source's column but for these; what is not as it should be, in words."""
    for target in source.controls(view):
        demand_ways(scene.ears, source.place(view), target)
    asked = [each for each in DESTINATIONS if is_tried(source, each) and each not in besides]
    found = list[str]()
    for gateways in source.gateways(view) or ((),):
        inner = [target for each in asked if each.is_inner for target in _targets(source, each, view)]
        with _routed(view.here.lan, inner, gateways):
            found += _tried_at_once(scene, source, view, asked, frozenset(EVERY_KIND))
    return found


def tried_without_ports(scene: Scene, source: Source, view: View) -> list[str]:
    """The same with packets that have no ports, on whom nothing may reach."""
    demand_ways(scene.ears, source.place(view), view.distant.address, (Kind.RAW,))
    asked = [each for each in DESTINATIONS if is_tried(source, each) and not allowed(source, each)]
    return _tried_at_once(scene, source, view, asked, frozenset({Kind.RAW}))


def _tried_at_once(
    scene: Scene, source: Source, view: View, asked: list[Destination], kinds: frozenset[Kind]
) -> list[str]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        trials = [
            threads.submit(_try, scene, source, view, destination, target, kinds)
            for destination in asked
            for target in _targets(source, destination, view)
        ]
        return [fault for trial in trials if (fault := trial.result())]


def _targets(source: Source, destination: Destination, view: View) -> list[str]:
    """Those of the families that the source has."""
    return [target for target in destination.targets(view) if (6 if ":" in target else 4) in source.versions]


def _try(
    scene: Scene, source: Source, view: View, destination: Destination, target: str, kinds: frozenset[Kind]
) -> str:
    may, place = allowed(source, destination) & kinds, source.place(view)
    demand_ways(scene.ears, destination.friend(view), target.format(link=destination.friends_link), kinds)
    reached = target.format(link=source.link(view))
    if may:
        demand_ways(scene.ears, place, reached, may)
    through = ways(scene.ears, place, reached, kinds - may) if kinds - may else {}
    if destination.is_beyond:
        on_its_way = f"it is heard by the cable of {view.here.node.node.name}"
        through = {kind: how for kind, how in through.items() if how != on_its_way}
    return f"{source.name} to {destination.name}, {reached}: {through}" if through else ""


@contextmanager
def _routed(router: Path, targets: list[str], gateways: tuple[str, ...]) -> Iterator[None]:
    """The farmer's router sends what is for the targets to the gateway of their family."""
    with ExitStack() as undo:
        for target, gateway in ((target, gateway) for target in targets for gateway in gateways):
            if (":" in target) == (":" in gateway):
                in_place(router, "ip", "route", "replace", target, "via", gateway)
                undo.callback(in_place, router, "ip", "route", "delete", target, "via", gateway)
        yield
