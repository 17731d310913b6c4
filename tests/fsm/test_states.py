"""Every machine of the node, explored and provoked: what states/ says and what zosfsm.lifecycles does."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fsm.hints import FACETS, PROMISES, promised
from tests.fsm.sampling import value
from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.engine import Engine
from zosfsm.fsm.explorer import START, Provocation, explore, provoke, tells
from zosfsm.fsm.journal import Record, structured, unstructured
from zosfsm.fsm.lifecycle import Event, Lifecycle, Tell
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.catalogue import catalogue, states_directory

ROOT = Path(__file__).parents[2]
FILES = sorted(states_directory().glob("*.toml"))
MACHINES: Mapping[str, tuple[MachineDefinition, Lifecycle[Any]]] = {
    definition.name: (definition, lifecycle) for definition, lifecycle in catalogue()
}
# Where a way through the machine is long, or forks early: so many instances are followed on each way.
CASES_A_WAY = {"connectivity": 2, "lease": 8, "path": 1}
# So many plain samples of each payload; the hints are enough for the machines that have many states.
SAMPLES = {"connectivity": 1, "path": 1}
# A path's key says of which family it is, and each family has states of its own.
KEYS = {"path": ("eth1/ipv4", "eth1/ipv6")}
PROVOKED: dict[str, Provocation] = {}


def provoked(name: str) -> Provocation:
    """The machine's provocation, made once for all tests."""
    if name not in PROVOKED:
        whole, facet = Provocation(name), FACETS.get(name, lambda _data: None)
        for key in KEYS.get(name, ("sample",)):
            samples = promised(name, SAMPLES.get(name, 6))
            part = provoke(*MACHINES[name], samples, CASES_A_WAY.get(name, 2), key, facet)
            whole.faults += part.faults
            whole.visited |= part.visited
            whole.taken |= part.taken
            whole.effects += part.effects
        PROVOKED[name] = whole
    return PROVOKED[name]


def test_every_file_has_its_code_and_all_code_its_file() -> None:
    assert [path.stem for path in FILES] == sorted(MACHINES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_graph_is_sound(path: Path) -> None:
    assert explore(load(path)).faults == ()


@pytest.mark.parametrize("name", MACHINES)
def test_no_event_in_any_state_is_able_to_raise(name: str) -> None:
    assert provoked(name).faults == []


@pytest.mark.parametrize("name", MACHINES)
def test_real_events_lead_to_every_state_and_set_off_every_transition(name: str) -> None:
    definition = MACHINES[name][0]
    result = provoked(name)
    assert set(definition.states) - result.visited == set()
    assert [(t.trigger, t.sources, t.guards, t.target) for t in result.never_taken(definition)] == []


@pytest.mark.parametrize("name", MACHINES)
def test_whatever_is_declared_to_be_told_is_heard_by_somebody(name: str) -> None:
    for said in MACHINES[name][0].tells:
        machine, _, trigger = said.partition(".")
        assert machine in MACHINES, f"{name} tells {said}, and there is no machine {machine}"
        assert trigger in MACHINES[machine][0].triggers, f"{name} tells {said}, which {machine} does not hear"


@pytest.mark.parametrize("name", MACHINES)
def test_whatever_is_told_brings_the_data_that_its_hearer_expects(name: str) -> None:
    told = tells(provoked(name).effects)
    for said, kind in sorted(told, key=str):
        machine, _, trigger = said.partition(".")
        expected = MACHINES[machine][1].payloads.get(trigger, NoneType)
        assert issubclass(kind, expected), f"{name} tells {said} with {kind.__name__}, expected {expected.__name__}"
    for effect in provoked(name).effects:
        if isinstance(effect, Tell):
            promise = PROMISES.get(f"{effect.to.partition(':')[0]}.{effect.trigger}", lambda _data: True)
            assert promise(effect.data), f"{name} promises otherwise and tells {effect}"
    assert {said for said, _ in told} == set(MACHINES[name][0].tells), "a tell is declared that nothing ever said"


@pytest.mark.parametrize("name", MACHINES)
def test_every_payload_survives_the_journal(name: str) -> None:
    source = random.Random(name)
    for kind in MACHINES[name][1].payloads.values():
        for _ in range(25):
            payload = value(kind, source)
            assert structured(unstructured(payload), kind) == payload


NAMES = [
    name if definition.instances == "one" else f"{name}:{key}"
    for name, (definition, _) in MACHINES.items()
    for key in KEYS.get(name, ("eth1",))
]


@settings(max_examples=60, deadline=None)
@given(st.integers(), st.lists(st.sampled_from(NAMES), min_size=20, max_size=60))
def test_a_replayed_journal_of_the_whole_node_gives_the_same_machines(seed: int, names: list[str]) -> None:
    journal: list[Record] = []
    node, again = (Engine(MACHINES.values(), "seed", keep) for keep in (journal.append, [].append))
    source, now = random.Random(seed), START
    for name in names:
        now += timedelta(seconds=source.choice((0, 0.1, 1, 7, 70)))
        node.tick(now)
        event = _an_event(node, name, source)
        node.step(name, event, now)
    again.replay(journal)
    assert _seen(again) == _seen(node)
    assert again.next_deadline() == node.next_deadline()
    restored = Engine(MACHINES.values(), "seed", [].append)
    for name in node.instances:
        restored.restore(node.snapshot(name))
    assert _seen(restored) == _seen(node)


def _an_event(node: Engine, name: str, source: random.Random) -> Event:
    lifecycle = node.runner(name).lifecycle
    trigger = source.choice(sorted(lifecycle.payloads))
    known = node.instances[name].data if name in node.instances else lifecycle.initial("eth1")
    samples = promised(lifecycle.name)(trigger, lifecycle.payloads[trigger], known)
    return Event(trigger, source.choice(samples)) if samples else Event(trigger)


def _seen(engine: Engine) -> Mapping[str, object]:
    return {
        name: (one.state, one.data, one.since, one.event, one.reason, one.attempt, one.visit, dict(one.deadlines))
        for name, one in engine.instances.items()
    }


# No transition outside states/: the picture shows all there is.

ENGINE_ROOM = {"zosfsm/fsm/machine.py"}
STATEFUL_ROOMS = ("zosfsm/fsm/", "zosfsm/lifecycles/", "zosfsm/node/")
# What it calls a state is a text of its own, beside the machines.
NO_MACHINES = ("zosfsm/node/status.py",)
FORBIDDEN_CALLS = {"Machine", "add_transition", "add_transitions", "add_states", "add_model", "set_state", "to_state"}


def _offences(path: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        line = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "transitions":
            yield f"{line}: imports from transitions"
        if isinstance(node, ast.Import) and any(name.name.partition(".")[0] == "transitions" for name in node.names):
            yield f"{line}: imports transitions"
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in FORBIDDEN_CALLS:
                yield f"{line}: calls {called}"
            if called in ("setattr", "__setattr__") and any(_is_text(argument, "state") for argument in node.args):
                yield f"{line}: sets a state by name"
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and _has_machines(path):
            for target in (part for one in targets for part in ast.walk(one) if one is not None):
                if isinstance(target, ast.Attribute) and target.attr == "state":
                    yield f"{line}: assigns a state"


def _has_machines(path: str) -> bool:
    return path.startswith(STATEFUL_ROOMS) and path not in NO_MACHINES


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def test_no_transition_is_made_outside_the_engine() -> None:
    offences = []
    for file in sorted((ROOT / "zosfsm").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        if path not in ENGINE_ROOM:
            offences += _offences(path, ast.parse(file.read_text(encoding="utf-8")))
    assert offences == []


@pytest.mark.parametrize(
    "code",
    [
        "import transitions",
        "from transitions import Machine",
        "Machine(model=None)",
        "machine.add_transition('go', 'a', 'b')",
        "instance.state = 'b'",
        "instance.state, instance.data = 'b', 1",
        "setattr(instance, 'state', 'b')",
        "instance.state += 'b'",
    ],
)
def test_a_hidden_transition_would_be_found(code: str) -> None:
    assert list(_offences("zosfsm/node/loop.py", ast.parse(code)))
