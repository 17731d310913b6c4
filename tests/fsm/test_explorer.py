"""The explorer finds what it is there to find."""

from __future__ import annotations

from datetime import datetime
from types import NoneType

import pytest
from attrs import evolve, frozen

from tests.fsm.sampling import sampler
from tests.fsm.toy import START, Kettle, KettleData, Lamp, changed, kettle, lamp
from zosfsm.fsm.explorer import explore, provoke, tells
from zosfsm.fsm.lifecycle import Change, Context, Event, action
from zosfsm.fsm.loading import parse


def test_a_sound_machine_has_no_faults() -> None:
    assert explore(kettle()).faults == ()
    assert explore(lamp()).faults == ()


def test_a_graph_that_cannot_run_is_found_too() -> None:
    sound = lamp()
    cut = evolve(sound, transitions=sound.transitions[1:])
    assert "states.bright: expected a way there from dark, found none: it is unreachable" in explore(cut).faults


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'sources = ["*"]\ntarget = "emptied"',
            'sources = ["cold"]\ntarget = "emptied"\nsentence = "x"\n[[transitions]]\ntrigger = "spill"\n'
            'sources = ["heating", "hot", "resting"]\ntarget = "emptied"',
            "hot: expected it to hear teardown whatever the guards say, found that it may not",
        ),
        (
            'sources = ["*"]\ntarget = "emptied"',
            'sources = ["*"]\ntarget = "emptied"\nguards = ["enough"]',
            "cold: expected it to hear teardown whatever the guards say, found that it may not",
        ),
        (
            'sources = ["*"]\ntarget = "emptied"',
            'sources = ["cold", "heating", "hot"]\ntarget = "resting"\nsentence = "x"\n[[transitions]]\n'
            'trigger = "teardown"\nsources = ["resting"]\ntarget = "emptied"',
            "hot: teardown leads to resting, from where nothing leads to emptied",
        ),
        (
            'target = "resting"\nsentence = "It did not boil in time."',
            'sentence = "It did not boil in time."',
            "heating: expected time alone to end it, found no timer that leads elsewhere without guards",
        ),
    ],
)
def test_a_fault_of_the_graph_is_found(old: str, new: str, fault: str) -> None:
    assert fault in explore(parse(changed(old, new), "states/kettle.toml")).faults


def test_a_dead_end_is_found() -> None:
    sound = lamp()
    stuck = evolve(sound, transitions=tuple(t for t in sound.transitions if t.trigger != "teardown"))
    stuck = evolve(stuck, transitions=stuck.transitions[:1])
    assert "bright: expected a way to another state, found a dead end" in explore(stuck).faults


def test_everything_is_tried_and_the_action_that_raises_is_found() -> None:
    result = provoke(kettle(), Kettle(), sampler())
    assert result.visited == set(kettle().states)
    assert [fault.partition(" (data")[0] for fault in result.faults] == [
        "kettle:sample: burst in heating: RuntimeError: it burst"
    ]
    assert [transition.trigger for transition in result.never_taken(kettle())] == ["burst"]
    assert tells(result.effects) == {("lamp.switch", NoneType)}


def test_nothing_is_found_in_a_sound_machine() -> None:
    result = provoke(lamp(), Lamp(), sampler())
    assert (result.faults, result.visited, result.never_taken(lamp())) == ([], {"dark", "bright", "gone"}, ())


def test_an_alarm_that_is_due_again_at_once_is_found() -> None:
    class Hasty(Kettle):
        @action
        def count_look(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            return Change(evolve(context.data, looks=min(context.data.looks + 1, 2), next_look=START))

    faults = provoke(kettle(), Hasty(), sampler()).faults
    assert "heating, look: look is due again at once, and would be for ever" in faults


def test_a_transient_state_whose_deadlines_are_all_unset_is_found() -> None:
    text = changed('timeout = "30 s"\n', "").replace('trigger = "timeout"', 'trigger = "cooled"')

    class Forgetful(Kettle):
        payloads = {**Kettle.payloads, "cooled": NoneType}

        def next_look(self, context: Context[KettleData]) -> datetime | None:
            return None

        next_look.__role__ = "deadline"  # type: ignore[attr-defined]

    faults = provoke(parse(text, "states/kettle.toml"), Forgetful(), sampler()).faults
    assert "cold, fill: heating is transient and has no deadline: it could last for ever" in faults


def test_data_that_does_not_survive_the_store_is_found() -> None:
    @frozen
    class Marked(KettleData):
        mark: object = None

    class Marking(Kettle):
        data_type = KettleData

        def initial(self, key: str) -> KettleData:
            return Marked(key)

    faults = provoke(kettle(), Marking(), sampler()).faults
    assert any("does not survive the store" in fault for fault in faults)
