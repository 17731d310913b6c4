"""A definition and its code must agree, both ways: each disagreement is refused when the machine is made."""

from __future__ import annotations

from types import NoneType

import pytest

from tests.fsm.toy import KETTLE, Kettle, KettleData, changed, kettle
from zosfsm.fsm.lifecycle import Change, Context, Event, Verdict, action, deadline, guard, yes
from zosfsm.fsm.loading import DefinitionRefused, parse
from zosfsm.fsm.machine import Runner

FILE = "states/kettle.toml"


def test_a_machine_that_agrees_with_its_code_is_accepted() -> None:
    Runner(kettle(), Kettle(), "seed")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('guards = ["enough"]', 'guards = ["plenty"]', "guard plenty"),
        ('actions = ["count_look"]', 'actions = ["stare"]', "action stare"),
        ('entry = ["pour"]', 'entry = ["spill"]', "action spill"),
        ('exit = ["close_lid"]', 'exit = ["open_lid"]', "action open_lid"),
        ('"@next_look"', '"@never"', "deadline never"),
        ('guards = ["enough"]', 'guards = ["heat"]', "guard heat"),
    ],
)
def test_a_name_without_code_is_refused(old: str, new: str, key: str) -> None:
    with pytest.raises(DefinitionRefused) as refusal:
        Runner(parse(changed(old, new), FILE), Kettle(), "seed")
    assert str(refusal.value) == f"{FILE}: {key}: expected Kettle to implement it, found none"


def test_code_that_nothing_names_is_refused() -> None:
    class GuardTooMuch(Kettle):
        @guard
        def idle_guard(self, context: Context[KettleData], event: Event) -> Verdict:
            return yes()

    class ActionTooMuch(Kettle):
        @action
        def idle_action(self, context: Context[KettleData], event: Event) -> Change[KettleData]:
            return Change(context.data)

    class DeadlineTooMuch(Kettle):
        @deadline
        def idle_deadline(self, context: Context[KettleData]) -> None:
            return None

    for lifecycle, key in (
        (GuardTooMuch, "guard idle_guard"),
        (ActionTooMuch, "action idle_action"),
        (DeadlineTooMuch, "deadline idle_deadline"),
    ):
        with pytest.raises(DefinitionRefused, match=f"{key}: {lifecycle.__name__} implements it and nothing"):
            Runner(kettle(), lifecycle(), "seed")


def test_a_trigger_whose_data_has_no_type_is_refused() -> None:
    class Untyped(Kettle):
        payloads = {name: kind for name, kind in Kettle.payloads.items() if name != "boiled"}

    with pytest.raises(DefinitionRefused, match="trigger boiled: expected Untyped to name the type of its data"):
        Runner(kettle(), Untyped(), "seed")


def test_a_type_for_a_trigger_that_no_transition_has_is_refused() -> None:
    class TooTyped(Kettle):
        payloads = {**Kettle.payloads, "whistle": NoneType}

    with pytest.raises(DefinitionRefused, match="trigger whistle: TooTyped names its data and no transition has it"):
        Runner(kettle(), TooTyped(), "seed")


def test_the_file_itself_is_sound() -> None:
    assert parse(KETTLE, FILE).name == "kettle"
