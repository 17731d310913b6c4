"""A wiring: what is behind each NIC, what happens, and what the node makes of it; and how it is played.

It reads like a row of a table; a story is a tuple of steps, each either something that happens (happenings.py) or
something that must come true of the node before the story goes on (findings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

from tests.e2e.wiring.findings import Found
from tests.e2e.wiring.ground import can_do_vlans, laid_ground
from tests.e2e.wiring.networks import Behind, Internet
from tests.e2e.wiring.node import Node
from tests.e2e.wiring.patterns import goes_through
from tests.e2e.wiring.places import GRID
from tests.e2e.wiring.processes import until
from tests.e2e.wiring.scene import Scene, Step

_SETTLING_SECONDS = 5.0


@frozen
class Wiring:
    """One row of the matrix. `nics` are what is behind eth0, eth1, ... when the node starts.

    `words`: more of the kernel command line; `uplink`: lines of the configuration's table [uplink].
    `states`: for each machine the sequence that it goes through until the story's end, see patterns.goes_through.
    `needs_vlans` is True where the kernel must have VLANs for the story, False where it must have none.
    """

    name: str
    nics: tuple[Behind, ...]
    story: tuple[Step, ...]
    states: Mapping[str, str]
    internet: Internet = Internet.GRID
    grid: str = GRID
    words: str = ""
    uplink: str = ""
    needs_vlans: bool | None = None

    def __str__(self) -> str:
        return self.name

    def situations(self) -> dict[str, Found]:
        """The rows of the README's table that this wiring proves."""
        return {step.situation: step for step in self.story if isinstance(step, Found) and step.situation}


def play(wiring: Wiring, directory: Path) -> None:
    """The whole story, on its own ground; then the states that the machines went through, and an orderly end.

    A wiring that needs another kernel is skipped, and says so.
    """
    if wiring.needs_vlans is True and not can_do_vlans():
        pytest.skip("this kernel has neither 8021q nor bridges that filter VLANs")
    if wiring.needs_vlans is False and can_do_vlans():
        pytest.skip("this kernel can do VLANs")
    command_line = f"zos farmer_id=1 runmode=dev bcdb={wiring.grid} {wiring.words}".strip()
    with laid_ground(wiring.nics, wiring.internet, directory) as ground:
        scene = Scene(ground, Node(ground.machine, directory, command_line, wiring.uplink))
        scene.node.start()
        for step in wiring.story:
            step.play(scene)
        # The story may have ended with what somebody else has heard, before the node has taken it in.
        until(
            lambda: not _wrong(wiring, scene.node),
            lambda: f"expected {dict(wiring.states)},\nfound {_wrong(wiring, scene.node)}\n{scene.told()}",
            _SETTLING_SECONDS,
        )
        scene.node.stop()
        assert not scene.node.faults(), scene.node.faults()


def _wrong(wiring: Wiring, node: Node) -> dict[str, str]:
    """The sequences of states that are not as expected."""
    found = {machine: node.path(machine) for machine in wiring.states}
    return {machine: " ".join(it) for machine, it in found.items() if not goes_through(wiring.states[machine], it)}
