"""A node that dies right before or right after the effect that a test names, and is started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.small_farm import NodeUnderTest, eventually
from zosfsm.fsm.lifecycle import Effect
from zosfsm.lab.node_process import inside
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.node.crash_switch import VARIABLE

MOMENTS = ("before", "after")

_SWITCH = "/run/crash"


def moments(*effects: str) -> list[object]:
    """The parameters `moment` and `effect` of a test: each effect, before and after it."""
    return [pytest.param(moment, effect, id=f"{moment} {effect}") for effect in effects for moment in MOMENTS]


def effects_of(*machines: str) -> set[str]:
    """The names of all effects that the code of these machines has: each is in a file that is named for its machine."""
    catalogue()
    files = tuple(f"zosfsm.lifecycles.{machine}" for machine in machines)
    return {effect.__name__ for effect in Effect.__subclasses__() if effect.__module__.startswith(files)}


@contextmanager
def mortal_nodes() -> Iterator[None]:
    """The nodes that are started in here can be made to die."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(VARIABLE, _SWITCH)
        yield


@contextmanager
def death(node: NodeUnderTest, moment: str, effect: str) -> Iterator[None]:
    """What is done in here makes the node (or its `zosfsm teardown`) die there; afterwards it dies no more."""
    switch = inside(node.node, node.farm.file, _SWITCH)
    switch.write_text(f"{moment} {effect}", encoding="ascii")
    try:
        yield
        eventually(lambda: not node.farm.report(node.node).running, f"{node.node.name} to die {moment} {effect}")
    finally:
        switch.unlink()
