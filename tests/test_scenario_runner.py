"""The runner tells a story that comes out from one that does not, and says where and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tests.fsm.toy import Kettle, Lamp, kettle, lamp
from tests.scenario_runner import Mismatch, play

STORY = """
# Tea is made, with one rest of the heater.
machine kettle:one
quiet look
let MUCH litres=2.0

at 0 s      fill litres=0.5         -> cold         does: Warn(text="too little")     because: expected a litre
at 1 s      fill $MUCH              -> heating      does: Heat(litres=2.0)
at 31 s     (time) timeout          -> resting      does: nothing
by 32 s     (time) retry            -> heating
    does: Heat(litres=$Heat.litres)
at 33 s     boiled                  -> hot; lamp bright     does: nothing   because: It boils.
at 34 s     fill $MUCH              -> ignored
at 1 min    lamp switch             -> dark
at 1 h 1 s  teardown                -> emptied      does: Empty
"""


def told(tmp_path: Path, story: str) -> str:
    path = tmp_path / "story.txt"
    path.write_text(story)
    lines: list[str] = []
    play(path, [(kettle(), Kettle()), (lamp(), Lamp())], lines.append)
    return "\n".join(lines)


def test_a_story_that_comes_out(tmp_path: Path) -> None:
    assert "found: -> hot; lamp bright  does: nothing  because: It boils." in told(tmp_path, STORY)


def test_a_tell_to_who_takes_no_part_is_an_effect(tmp_path: Path) -> None:
    only = "only kettle\n" + STORY.replace("-> hot; lamp bright     does: nothing", "-> hot  does: tell lamp switch")
    told(tmp_path, only.replace("at 1 min    lamp switch             -> dark\n", ""))


@pytest.mark.parametrize(
    ("old", "new", "expected", "found"),
    [
        ("-> heating      does", "-> hot      does", "-> hot", "-> heating"),
        ("Heat(litres=2.0)", "Heat(litres=3.0)", "Heat with litres=3.0", "litres=2.0"),
        ("Heat(litres=2.0)", "nothing", "does: nothing", "does: Heat(litres=2.0)"),
        ("Heat(litres=2.0)", "Heat, Empty", "does: Heat, Empty", "does: Heat(litres=2.0)"),
        ("Heat(litres=2.0)", "Empty", "does: Empty", "does: Heat(litres=2.0)"),
        ("Heat(litres=2.0)", "Heat(grams=2.0)", "a field of Heat", "grams"),
        ("lamp bright", "lamp dark", "lamp dark", "lamp bright"),
        ("lamp bright", "lamp:two bright", "lamp:two bright", "lamp:two no such machine"),
        ("because: It boils.", "because: It is hot.", "because: It is hot.", "because: It boils."),
        ("34 s     fill $MUCH              -> ignored", "34 s     fill $MUCH    -> hot", "-> hot", "-> ignored"),
        ("31 s     (time)", "30 s     (time)", "timeout at 30 s", "at 31 s"),
        ("31 s     (time)", "32 s     (time)", "timeout at 32 s", "at 31 s"),
        ("by 32 s", "by 31.5 s", "retry by 31.5 s", "at 31.8"),
        ("(time) timeout", "(time) whistle", "kettle:one to wait for whistle", "timeout at 31 s"),
        ("at 31 s     (time) timeout", "at 40 s     boiled", "no alarm before 40 s", "kettle:one timeout at 31 s"),
        ("at 1 min    lamp", "at 30 s    lamp", "a time that is not before the line above", "30 s"),
        ("lamp switch", "teapot switch", "a trigger of kettle", "teapot"),
        ("machine kettle:one", "", "a machine of kettle, lamp", "none"),
        ("boiled ", "whistled ", "a trigger of kettle (boiled, burst", "whistled"),
        ("boiled ", "boiled litres=2 ", "no data with boiled", "litres=2"),
        ("fill litres=0.5", "fill water=0.5", "data of Water", "litres"),
        ("fill litres=0.5", "fill litres=much", "data of Water", "much"),
        ("fill litres=0.5", "fill $LITTLE", "field=value or the $NAME", "$LITTLE"),
        ("litres=$Heat.litres", "litres=$Empty.litres", "an effect that kettle:one has had", "$Empty.litres"),
        ("at 34 s     fill $MUCH", "after 34 s  fill $MUCH", "`at TIME EVENT -> STATE`", "after 34 s"),
        ("quiet look", "only teapot", "one of kettle, lamp", "teapot"),
        ("lamp switch             -> dark", "lamp:two (time) x   -> dark", "lamp:two to live", "no such machine"),
        ("quiet look\n", "", "no alarm before", "kettle:one look at 9 s"),
    ],
)
def test_a_story_that_does_not_come_out_names_the_line_and_both_sides(
    tmp_path: Path, old: str, new: str, expected: str, found: str
) -> None:
    assert old in STORY
    with pytest.raises(Mismatch) as mismatch:
        told(tmp_path, STORY.replace(old, new))
    place, said, reality = str(mismatch.value).split("\n")
    assert place.startswith("story.txt:")
    assert said.startswith("  expected: ")
    assert expected in said
    assert reality.startswith("  found:    ")
    assert found in reality


TOGETHER = """
machine kettle:one
quiet look
at 0 s   fill litres=1.0                    -> heating
at 0 s   kettle:two fill litres=1.0         -> heating
at 30 s  (time) timeout                     -> resting
"""


def test_an_alarm_of_another_machine_at_the_same_moment_is_not_overlooked(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="kettle:two timeout at the same moment"):
        told(tmp_path, TOGETHER)


def test_alarms_of_one_moment_stand_on_one_line(tmp_path: Path) -> None:
    told(tmp_path, TOGETHER.replace("(time) timeout    ", "(time) timeout, kettle:two timeout"))
    with pytest.raises(Mismatch, match="found:    kettle:one timeout, kettle:two timeout"):
        told(tmp_path, TOGETHER.replace("(time) timeout    ", "(time) kettle:two timeout, kettle:one timeout"))


def test_a_restart_leaves_the_machines_that_the_store_keeps_and_no_other(tmp_path: Path) -> None:
    again = STORY.replace("at 34 s ", "restart\nat 34 s ").replace(
        "lamp switch             -> dark", "lamp switch  -> bright"
    )
    path = tmp_path / "story.txt"
    path.write_text(again)
    play(path, [(evolve(kettle(), durable=True), Kettle()), (lamp(), Lamp())])


def test_what_was_said_with_an_event_is_its_reason(tmp_path: Path) -> None:
    story = STORY.replace("at 33 s     boiled     ", 'at 33 s     boiled said="It sings." ').replace(
        "It boils.", "It sings."
    )
    assert "because: It sings." in told(tmp_path, story)


AGAIN = """
machine lamp
repeat 3 times, every 10 s
at 1 s   switch     -> bright
at 6 s   switch     -> dark
end
at 31 s  switch     -> bright
"""


def test_lines_are_repeated_each_time_later(tmp_path: Path) -> None:
    assert told(tmp_path, AGAIN).count("found: -> bright") == 4


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("end\n", "", "`end` after `repeat`"),
        ("repeat 3 times, every 10 s\n", "", "`repeat` before `end`"),
        ("at 1 s   switch     -> bright", "quiet look", "lines with a time between"),
        ("at 1 s   switch     -> bright", "repeat 2 times, every 1 s", "`end` before another `repeat`"),
        ("every 10 s", "every 3 s", "a time that is not before the line above"),
    ],
)
def test_a_repetition_that_cannot_be_read_is_a_mismatch(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in AGAIN
    with pytest.raises(Mismatch, match=expected):
        told(tmp_path, AGAIN.replace(old, new))
