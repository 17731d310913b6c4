"""Every refusal of a file in states/ names the file and the key, and says what was expected and found."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fsm.toy import KETTLE, LAMP, changed
from zosfsm.fsm.definition import Kind
from zosfsm.fsm.loading import DefinitionRefused, duration, load, parse

FILE = "states/toy.toml"

# What is changed in a sound file, into what, the key that the refusal names, and a part of its sentence.
REFUSALS = {
    "broken TOML": ('name = "kettle"', "name = ", "syntax", "expected TOML"),
    "an unknown key of the machine": ('name = "kettle"', 'name = "kettle"\ncolour = "red"', "the file", "colour"),
    "an unknown key of a state": ('kind = "final"', 'kind = "final"\ncolour = "red"', "states.emptied", "colour"),
    "an unknown key of a retry": ("jitter = 0.2", "jitter = 0.2\nhaste = 1", "states.resting.retry", "haste"),
    "an unknown key of a transition": (
        'target = "hot"',
        'target = "hot"\ncolour = "red"',
        "transitions[3]",
        "colour",
    ),
    "a missing sentence": ('sentence = "It boils."', "", "transitions[3]", "sentence"),
    "an empty sentence": ('"It boils."', '"  "', "transitions[3].sentence", "expected a text"),
    "a missing kind": ('kind = "final"', "", "states.emptied", "kind"),
    "a bad kind": ('kind = "final"', 'kind = "eternal"', "states.emptied.kind", "'eternal'"),
    "a number for a text": ('initial = "cold"', "initial = 3", "initial", "found 3"),
    "a text for a list": ('entry = ["heat"]', 'entry = "heat"', "states.heating.entry", "list of names"),
    "a text for a flag": (
        "clears_attempts = true",
        'clears_attempts = "yes"',
        "transitions[3].clears_attempts",
        "'yes'",
    ),
    "a text for a number": ("factor = 2.0", 'factor = "two"', "states.resting.retry.factor", "'two'"),
    "a flag for a number": ("factor = 2.0", "factor = true", "states.resting.retry.factor", "True"),
    "a bad duration": ('timeout = "30 s"', 'timeout = "30 seconds"', "states.heating.timers.timeout", "30 seconds"),
    "a duration of nothing": ('timeout = "30 s"', 'timeout = "0 s"', "states.heating.timers.timeout", "0 s"),
    "an endless duration": ('timeout = "30 s"', 'timeout = "99999 d"', "states.heating.timers.timeout", "ten years"),
    "a bad first delay": ('first = "1 s"', 'first = "soon"', "states.resting.retry.first", "soon"),
    "a factor below one": ("factor = 2.0", "factor = 0.5", "states.resting.retry.factor", "0.5"),
    "a factor that is no number": ("factor = 2.0", "factor = nan", "states.resting.retry.factor", "nan"),
    "an endless factor": ("factor = 2.0", "factor = inf", "states.resting.retry.factor", "inf"),
    "a jitter above one": ("jitter = 0.2", "jitter = 1.5", "states.resting.retry.jitter", "1.5"),
    "a negative jitter": ("jitter = 0.2", "jitter = -0.1", "states.resting.retry.jitter", "-0.1"),
    "a ceiling below the first wait": (
        'ceiling = "60 s"',
        'ceiling = "500 ms"',
        "states.resting.retry.ceiling",
        "500",
    ),
    "a retry without a ceiling": ('ceiling = "60 s"', "", "states.resting.retry", "ceiling"),
    "an unknown initial state": ('initial = "cold"', 'initial = "warm"', "initial", "'warm'"),
    "a final initial state": ('initial = "cold"', 'initial = "emptied"', "initial", "final"),
    "an unknown teardown state": ('teardown = "emptied"', 'teardown = "void"', "teardown", "'void'"),
    "a teardown state that is not final": ('teardown = "emptied"', 'teardown = "hot"', "teardown", "final"),
    "an unknown source": ('sources = ["resting"]', 'sources = ["sleeping"]', "transitions[5]", "'sleeping'"),
    "an unknown target": ('target = "hot"', 'target = "tepid"', "transitions[3]", "'tepid'"),
    "an unknown exception": (
        'sources = ["*"]',
        'sources = ["*"]\nbesides = ["tepid"]',
        "transitions[7]",
        "'tepid'",
    ),
    "an exception from nothing": (
        'sources = ["resting"]',
        'sources = ["resting"]\nbesides = ["hot"]',
        "transitions[5] (retry).besides",
        '["*"]',
    ),
    "no source": ('sources = ["resting"]', "sources = []", "transitions[5] (retry).sources", "expected states"),
    "a source named twice": (
        'sources = ["resting"]',
        'sources = ["resting", "resting"]',
        "transitions[5] (retry).sources",
        "each once",
    ),
    "something after a final state": (
        'sources = ["resting"]',
        'sources = ["resting", "emptied"]',
        "states.emptied",
        "nothing to follow",
    ),
    "a second transition of the same trigger, source and guards": (
        'trigger = "burst"',
        'trigger = "boiled"',
        "transitions[6] (boiled)",
        "second transition",
    ),
    "a transition that is never asked": (
        'guards = ["enough"]\nactions = ["remember_water"]\nsentence = "Water was filled in."\n',
        'sentence = "Any water."\n[[transitions]]\ntrigger = "fill"\nsources = ["cold"]\nguards = ["enough"]\n'
        'actions = ["remember_water"]\nsentence = "Never."\n',
        "transitions[1] (fill)",
        "never be asked",
    ),
    "an unreachable state": ('target = "hot"', 'target = "resting"', "states.hot", "unreachable"),
    "a transient state without an end": (
        'timeout = "30 s"\n[states.heating.timers]\nlook = "@next_look"',
        "",
        "states.heating",
        "transient",
    ),
    "a time-out that nobody hears": (
        'trigger = "timeout"',
        'trigger = "late"',
        "states.heating.timers.timeout",
        "found none",
    ),
    "a retry that nobody hears": ('trigger = "retry"', 'trigger = "again"', "states.resting.retry", "found none"),
    "an alarm that guards may refuse": (
        'target = "resting"\nsentence = "It did not boil in time."',
        'target = "resting"\nguards = ["enough"]\nsentence = "It did not boil in time."',
        "states.heating.timers.timeout",
        "without guards",
    ),
    "a time-out set twice": (
        'look = "@next_look"',
        'look = "@next_look"\ntimeout = "3 s"',
        "states.heating.timers.timeout",
        "twice",
    ),
    "a state that cannot be torn down": (
        'sources = ["*"]',
        'sources = ["cold", "heating", "resting"]',
        "states.hot",
        "cannot be torn down",
    ),
    "a name that is none": ('name = "kettle"', 'name = "The Kettle"', "name", "'The Kettle'"),
    "a trigger that is no name": ('trigger = "burst"', 'trigger = "burst!"', "transitions[6].trigger", "'burst!'"),
    "a trigger of a reserved name": ('trigger = "burst"', 'trigger = "state"', "transitions[6].trigger", "'state'"),
    "a tell without a trigger": ('"lamp.switch"', '"lamp"', "tells.lamp", "machine.trigger"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_file_is_refused_for(fault: str) -> None:
    old, new, key, sentence = REFUSALS[fault]
    with pytest.raises(DefinitionRefused) as refusal:
        parse(changed(old, new), FILE)
    text = str(refusal.value)
    assert text.startswith(f"{FILE}: {key}"), text
    assert sentence in text
    assert refusal.value.file == FILE
    assert refusal.value.key.startswith(key)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DefinitionRefused, match=r"none\.toml: the file: expected a readable text"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "kettle.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionRefused, match=r"kettle\.toml: the file: expected a readable text in UTF-8"):
        load(path)


def test_a_file_is_named_like_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "teapot.toml"
    path.write_text(KETTLE)
    with pytest.raises(DefinitionRefused, match=r"teapot\.toml: name: expected 'teapot'"):
        load(path)


def test_a_sound_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "kettle.toml"
    path.write_text(KETTLE)
    machine = load(path)
    assert machine.states["heating"].kind is Kind.TRANSIENT
    assert machine.states["heating"].alarms == {"timeout", "look"}
    assert machine.states["resting"].alarms == {"retry"}
    assert machine.leaving("emptied") == ()
    assert [transition.target for transition in machine.leaving("cold")] == ["heating", None, "emptied"]
    assert machine.transitions[7].sources == ("cold", "heating", "resting", "hot")


def test_a_durable_machine_must_hear_start_in_every_state() -> None:
    durable = changed('instances = "one"', 'instances = "one"\ndurable = true', LAMP)
    with pytest.raises(DefinitionRefused, match=r"states\.dark: expected a transition on start"):
        parse(durable, FILE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250 ms", 0.25), ("3 s", 3), ("1.5 s", 1.5), ("5 min", 300), ("1 h", 3600), ("30 d", 2592000), ("3s", 3)],
)
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@given(st.text() | st.from_regex(r"[0-9.]{1,40} ?(ms|s|min|h|d)", fullmatch=True))
def test_no_duration_raises_anything_but_value_error(text: str) -> None:
    try:
        assert timedelta(0) < duration(text) <= timedelta(days=3650)
    except ValueError as error:
        assert "expected a duration" in str(error)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(st.data())
def test_no_change_of_a_file_raises_anything_but_a_refusal(data: st.DataObject) -> None:
    lines = KETTLE.splitlines()
    line = data.draw(st.integers(0, len(lines) - 1))
    lines[line] = data.draw(
        st.sampled_from(["", 'target = "cold"', "timers = 3", 'sources = [["a"]]', "[states]", "retry = []", "x = nan"])
        | st.text(max_size=30)
        | SCALARS.map(lambda value: lines[line].partition("=")[0] + f"= {value}")
    )
    try:
        parse("\n".join(lines), FILE)
    except DefinitionRefused as refusal:
        assert str(refusal).startswith(f"{FILE}: ")
