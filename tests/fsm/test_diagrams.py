"""The pictures show what the files say, and the same file gives the same picture."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta

import pytest

from tests.fsm.toy import changed, kettle, lamp
from zosfsm.fsm.diagrams import Arrow, Label, picture, spoken
from zosfsm.fsm.graphviz import PRESENT, graphviz
from zosfsm.fsm.loading import parse
from zosfsm.fsm.mermaid import mermaid
from zosfsm.fsm.overview import overview, overview_mermaid, said
from zosfsm.lifecycles.catalogue import catalogue

MACHINES = [definition for definition, _ in catalogue()]


def arrow(source: str, target: str, by_time: bool = False) -> Arrow:
    found = [
        one for one in picture(kettle()).arrows if (one.source, one.target, one.by_time) == (source, target, by_time)
    ]
    assert len(found) == 1, "parallel arrows are one"
    return found[0]


def test_guards_stand_on_the_arrow_in_words() -> None:
    assert arrow("cold", "heating").labels == (Label("fill", "if enough", "Water was filled in."),)


def test_what_time_does_is_an_arrow_of_its_own_with_its_clock() -> None:
    assert [label.text for label in arrow("heating", "resting", by_time=True).labels] == ["after 30 s"]
    assert [label.text for label in arrow("heating", "resting").labels] == ["burst"]
    assert [label.text for label in arrow("resting", "heating", by_time=True).labels] == ["retry after 1 s … 1 min"]


def test_what_stays_in_its_state_is_listed_there() -> None:
    loops = picture(kettle()).loops
    assert [label.text for label in loops["heating"]] == ["at next look"]
    assert [label.text for label in loops["cold"]] == ["fill"]


def test_what_most_states_have_in_common_is_said_once() -> None:
    (note,) = picture(kettle()).notes
    assert (note.target, note.label.text, note.where) == ("emptied", "teardown", "from every state")
    assert not [one for one in picture(kettle()).arrows if one.target == "emptied"]


def test_a_note_names_the_exceptions() -> None:
    text = changed('trigger = "burst"\nsources = ["heating"]', 'trigger = "burst"\nsources = ["*"]')
    text = changed('target = "resting"\nactions = ["burst"]', 'besides = ["cold"]\nactions = ["burst"]', text)
    text = changed("[states.hot]", '[states.tepid]\nsentence = "x"\nkind = "stable"\n\n[states.hot]', text)
    warm = 'trigger = "warm"\nsources = ["hot"]\ntarget = "tepid"\nsentence = "x"\n\n[[transitions]]\n'
    text = changed('trigger = "boiled"', warm + 'trigger = "boiled"', text)
    notes = {note.label.trigger: note for note in picture(parse(text, "states/kettle.toml")).notes}
    assert (notes["burst"].target, notes["burst"].where) == (None, "from every state but cold")


def test_a_condition_that_says_no_more_is_left_out() -> None:
    text = changed(
        'sentence = "It boils."',
        'sentence = "It boils."\n[[transitions]]\ntrigger = "fill"\nsources = ["heating"]\ntarget = "hot"\n'
        'guards = ["enough", "clean"]\nsentence = "x"\n[[transitions]]\ntrigger = "fill"\nsources = ["heating"]\n'
        'target = "hot"\nguards = ["enough"]\nsentence = "y"',
    )
    arrows = picture(parse(text, "states/kettle.toml")).arrows
    labels = next(one.labels for one in arrows if (one.source, one.target) == ("heating", "hot"))
    assert [label.text for label in labels] == ["boiled", "fill if enough"]


@pytest.mark.parametrize(
    ("length", "text"),
    [(0.25, "250 ms"), (1.25, "1.25 s"), (3, "3 s"), (90, "90 s"), (300, "5 min"), (7200, "2 h"), (86400, "1 d")],
)
def test_a_duration_is_spoken_as_it_is_written(length: float, text: str) -> None:
    assert spoken(timedelta(seconds=length)) == text


def test_kinds_are_told_apart_and_the_initial_state_is_marked() -> None:
    dot = graphviz(kettle())
    looks = {
        name: next(line for line in dot.splitlines() if line.startswith(f'  "{name}" [')) for name in kettle().states
    }
    assert "rounded" in looks["cold"]
    assert "#dcf3df" in looks["cold"]
    assert "#eceef0" in looks["heating"]
    assert "#fde0dc" in looks["resting"]
    assert "peripheries=2" in looks["emptied"]
    assert '  start -> "cold"' in dot


def test_the_present_state_is_marked() -> None:
    assert PRESENT not in graphviz(kettle())
    marked = [line for line in graphviz(kettle(), "hot").splitlines() if PRESENT in line]
    assert len(marked) == 1
    assert marked[0].startswith('  "hot"')
    assert "now" in marked[0]


def test_a_present_state_that_the_machine_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a state of kettle, found 'tepid'"):
        graphviz(kettle(), "tepid")


def test_signs_of_the_notation_in_a_sentence_do_no_harm() -> None:
    machine = parse(changed("It boils.", 'A \\"quoted\\" <b> & #1; text: \\\\ end'), "states/kettle.toml")
    assert 'A \\"quoted\\" <b> & #1; text: \\\\ end' in graphviz(machine)
    named = parse(changed("The water is cold.", 'A "x" <b>; #2: y'.replace('"', '\\"')), "states/kettle.toml")
    assert "A 'x' <b>, no. 2 - y" in mermaid(named)
    assert "&lt;b&gt;" in graphviz(named)


def test_mermaid_says_the_same() -> None:
    text = mermaid(kettle())
    assert text.startswith('---\ntitle: "kettle - Is the water hot?"\n---\nstateDiagram-v2\n')
    assert "  [*] --> s_cold\n" in text
    assert "  s_cold --> s_heating : fill if enough\n" in text
    assert "  s_heating --> s_resting : ⏱ after 30 s\n" in text
    assert "    teardown from every state\n" in text
    assert "  class s_emptied final\n" in text


def test_the_overview_shows_who_tells_whom_what() -> None:
    machines = (kettle(), lamp())
    assert said(machines) == {("kettle", "lamp"): [("switch", "The lamp shows whether the water is hot.")]}
    assert '  "kettle" -> "lamp" [' in overview(machines)
    assert '  m_kettle -->|"switch"| m_lamp\n' in overview_mermaid(machines)


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_graphviz_draws_every_machine_without_a_complaint(machine: object) -> None:
    for text in (graphviz(machine), overview(MACHINES)):
        drawn = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True)
        assert (drawn.stderr, drawn.stdout[:5]) == ("", "<?xml")


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_same_file_gives_the_same_texts(machine: object) -> None:
    assert graphviz(machine) == graphviz(machine)
    assert mermaid(machine) == mermaid(machine)
