"""Plays a story from tests/scenarios/*.txt to the machines, and says where they do not do what it expects.

    # What the story is about.
    only lease                       who takes part (all, without this line); what they tell others counts as an effect
    machine lease:eth1               whom the lines below are about, unless they name another
    let REPLY server_identifier=192.0.2.1 netmask=255.255.255.0       a name for data; $REPLY stands for it
    quiet retransmit                 alarms that may ring unmentioned, and whose effects are not shown
    restart                          the process is killed; of the machines only those are left that the store keeps

    at 0 s      start link=eth1 mac=02:00:00:00:00:01   -> selecting    does: OpenSocket, SendDiscover
    by 0.3 s    (time) retransmit                       -> selecting    does: SendDiscover(seconds=0)
    at 1 s      offer $REPLY xid=$SendDiscover.xid      -> requesting   does: SendRequest(address=192.0.2.7)
    at 2 s      interface:eth1 leased lease=$LEASE      -> leased; lease:eth1 bound
    at 3 s      offer $REPLY xid=1                      -> ignored      because: which we did not ask

- `at` is when, since the story began (`1.5 s`, `2 min`, `1 d 2 h`); with `(time)`, when that alarm rings, to the
  millisecond; `by` lets it ring at any moment up to then, for delays that are drawn at random. An alarm that rings
  without a line (and is not quiet) is a mismatch. Alarms of one moment stand on one line, in the order in which they
  ring: `(time) patience, timeout, lease:eth2 renew`.
- An event's data is `field=value`, `field.of.field=value`, or `$NAME`. A value is a word, JSON, `none`, `@1h` for a
  moment of the story, `a,b,c` for a tuple, `$NAME`, or `$Effect.field` of the machine's latest effect of that kind.
  Values with spaces stand in quotes. Fields with a default may be left out. `said=` is the reason that comes with it.
- `->` the state afterwards; `ignored` where no transition took the event (its data does not fit, or every guard
  refused); after `;` the states of other machines. A final state is named although the machine is gone.
- `does:` all effects of the line, in order, each with as many of its fields as matter; or `nothing`. A tell to one who
  does not take part is `tell interface:eth1 leased(lease.address=192.0.2.7/24)`.
- `because:` a part of the machine's reason.
- A line that begins with a space goes on with the line above.
- The lines between `repeat 60 times, every 1 min` and `end` are played so often, each time so much later.

`python -m tests.scenario_runner FILE` prints what happens at each line, for writing a story.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from tests.scenario_text import (
    TIMED,
    Mismatch,
    at,
    called,
    causes,
    expect,
    lines,
    protected,
    repeated,
    shown,
    span,
    spoken,
    text_of,
)
from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.engine import Emission, Engine
from zosfsm.fsm.explorer import START
from zosfsm.fsm.journal import structured, unstructured
from zosfsm.fsm.lifecycle import Effect, Event, Lifecycle, Tell
from zosfsm.fsm.machine import Delivery, Instance

Machines = Iterable[tuple[MachineDefinition, Lifecycle[Any]]]
LINE = re.compile(rf"{TIMED.pattern} *(?P<what>.*?) *-> *(?P<state>.*)")
EXACTLY = timedelta(milliseconds=1)
IGNORED = "ignored"


@frozen
class Heard:
    """One event that reached a machine while a line was played."""

    machine: str
    trigger: str
    taken: bool


@define
class Story:
    """A story on its way: the machines, the time, the names that it has given to things."""

    name: str
    machines: Mapping[str, tuple[MachineDefinition, Lifecycle[Any]]]
    told: Callable[[str], None]
    engine: Engine | None = None
    now: datetime = START
    subject: str = ""
    names: dict[str, dict[str, Any]] = field(factory=dict)
    quiet: set[str] = field(factory=set)
    heard: list[Heard] = field(factory=list)
    states: dict[str, str] = field(factory=dict)
    reasons: dict[str, str] = field(factory=dict)
    latest: dict[tuple[str, str], Effect] = field(factory=dict)


def play(path: Path, machines: Machines, told: Callable[[str], None] = lambda _text: None) -> None:
    """Plays one file; Mismatch where the machines do otherwise. `told` hears of each line what happened."""
    story = Story(path.name, {definition.name: (definition, code) for definition, code in machines}, told)
    for number, line in repeated(lines(path.read_text(encoding="utf-8"))):
        try:
            _play_line(story, line)
        except Mismatch as mismatch:
            raise Mismatch(f"{path.name}:{number}: {line}\n{mismatch}") from None


def _play_line(story: Story, line: str) -> None:
    word, _, rest = line.partition(" ")
    if word == "only":
        kinds = re.split(r"[,\s]+", rest.strip())
        unknown = [kind for kind in kinds if kind not in story.machines]
        expect(not unknown, f"one of {', '.join(story.machines)}", ", ".join(unknown))
        story.machines = {kind: story.machines[kind] for kind in kinds}
    elif word == "machine":
        story.subject = rest.strip()
    elif word == "quiet":
        story.quiet |= set(re.split(r"[,\s]+", rest.strip()))
    elif line == "restart":
        _restart(story)
    elif word == "let":
        name, _, fields = rest.strip().partition(" ")
        story.names[name] = _fields(story, fields, story.subject)
    else:
        _play_event(story, line)


def _play_event(story: Story, line: str) -> None:
    match = LINE.fullmatch(line)
    expect(match is not None, "`at TIME EVENT -> STATE`, `only`, `machine`, `quiet`, `restart` or `let`", line)
    assert match is not None
    engine = _engine(story)
    when = START + span(match["when"])
    expect(when >= story.now, "a time that is not before the line above", match["when"])
    state, does, because = _expectations(match["state"])
    machine, trigger, data = _addressed(story, match["what"])
    story.heard.clear()
    if trigger.startswith("(time)"):
        names = [name.strip() for name in trigger.removeprefix("(time)").split(",")]
        emissions = _let_ring(story, engine, machine, names, when, match["word"] == "at")
    else:
        _let_pass(story, engine, when, including=True)
        story.heard.clear()
        story.now = when
        emissions = engine.step(machine, _event(story, machine, trigger, data), when)
    _remember(story, emissions)
    found = _found(story, machine, emissions)
    story.told(f"{line}\n    found: {found}")
    _compare_states(story, state, found)
    if does is not None:
        _compare_effects(story, does, emissions)
    if because is not None:
        reason = story.reasons.get(machine, "")
        expect(because in reason, f"because: {because}", f"because: {reason}")


def _engine(story: Story) -> Engine:
    if story.engine is None:

        def observe(instance: Instance, delivery: Delivery) -> None:
            story.heard.append(Heard(instance.name, delivery.event.trigger, delivery.taken is not None))
            story.states[instance.name] = instance.state
            refusals = [verdict.reason for _, verdict in delivery.asked if not verdict.holds]
            story.reasons[instance.name] = instance.reason if delivery.taken else "; ".join(refusals)

        story.engine = Engine(story.machines.values(), f"story {story.name}", lambda _record: None, observe)
    return story.engine


def _restart(story: Story) -> None:
    former = _engine(story)
    kept = [name for name in former.instances if former.runner(name).definition.durable]
    story.engine = None
    for name in kept:
        _engine(story).restore(former.snapshot(name))


def _expectations(text: str) -> tuple[str, str | None, str | None]:
    before, _, because = text.partition("because:")
    state, _, does = before.partition("does:")
    return state.strip(), does.strip() if "does:" in before else None, because.strip() if "because:" in text else None


def _addressed(story: Story, what: str) -> tuple[str, str, str]:
    first, _, rest = what.partition(" ")
    if first != "(time)" and first.partition(":")[0] in story.machines:
        machine, what = first, rest.strip()
    else:
        machine = story.subject
    kind = machine.partition(":")[0]
    expect(kind in story.machines, f"a machine of {', '.join(story.machines)}", machine or "none")
    if what.startswith("(time)"):
        return machine, what, ""
    trigger, _, data = what.partition(" ")
    triggers = story.machines[kind][0].triggers
    expect(trigger in triggers, f"a trigger of {kind} ({', '.join(sorted(triggers))})", trigger)
    return machine, trigger, data


def _event(story: Story, machine: str, trigger: str, text: str) -> Event:
    kind = story.machines[machine.partition(":")[0]][1].payloads.get(trigger, type(None))
    fields = _fields(story, text, machine)
    said = str(fields.pop("said", ""))
    if kind is type(None):
        expect(not fields, f"no data with {trigger}", text)
        return Event(trigger, reason=said)
    try:
        return Event(trigger, structured(json.dumps(fields), kind), said)
    except Exception as error:
        found = "; ".join(map(str, causes(error)))
        raise Mismatch(f"  expected: data of {kind.__name__}\n  found:    {found}") from error


def _fields(story: Story, text: str, machine: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in shlex.split(protected(text)):
        if "=" not in word:
            expect(word.startswith("$") and word[1:] in story.names, "field=value or the $NAME of a `let`", word)
            _merge(fields, story.names[word[1:]])
            continue
        path, _, value = word.partition("=")
        inner = fields
        *outer, last = path.split(".")
        for name in outer:
            inner[name] = dict(inner.get(name) or {})
            inner = inner[name]
        inner[last] = _value(story, value, machine)
    return fields


def _merge(fields: dict[str, Any], more: Mapping[str, Any]) -> None:
    fields.update(json.loads(json.dumps(more)))


def _value(story: Story, text: str, machine: str) -> Any:
    if text.startswith("$"):
        return _named(story, text[1:], machine)
    if text.startswith("@"):
        return (START + span(text[1:])).isoformat()
    if text == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return [_value(story, part, machine) for part in text.split(",")] if "," in text else text


def _named(story: Story, name: str, machine: str) -> Any:
    if name in story.names:
        return story.names[name]
    kind, _, path = name.partition(".")
    effect: Any = story.latest.get((machine, kind))
    expect(effect is not None and path, f"the name of a `let`, or an effect that {machine} has had", f"${name}")
    return json.loads(unstructured(at(effect, path)))


def _let_pass(story: Story, engine: Engine, until: datetime, including: bool) -> None:
    """Rings the quiet alarms up to a moment; any other is a mismatch."""
    while (due := engine.next_deadline()) is not None and (due < until or (including and due == until)):
        loud = [ring for ring in _due(engine, due) if ring[1] not in story.quiet]
        found = ", ".join(f"{machine} {trigger} at {spoken(due)}" for machine, trigger in loud)
        expect(not loud, f"no alarm before {spoken(until)}", found)
        story.now = due
        _remember(story, engine.tick(due))


def _due(engine: Engine, at: datetime) -> Sequence[tuple[str, str]]:
    return [
        (name, trigger)
        for name, instance in engine.instances.items()
        for trigger, due in instance.deadlines.items()
        if due <= at
    ]


def _let_ring(
    story: Story, engine: Engine, machine: str, names: Sequence[str], when: datetime, exactly: bool
) -> tuple[Emission, ...]:
    wanted = [tuple(name.split()) if " " in name else (machine, name) for name in names]
    if _deadline(engine, *wanted[0]) is None:
        # A quiet alarm may have to ring first, and set this one.
        _let_pass(story, engine, when, including=False)
    due = _deadline(engine, *wanted[0])
    expect(due is not None, f"{wanted[0][0]} to wait for {wanted[0][1]}", _waiting(engine, wanted[0][0]))
    assert due is not None
    _let_pass(story, engine, due, including=False)
    due = _deadline(engine, *wanted[0]) or due
    late = due - when > EXACTLY or (exactly and when - due > EXACTLY)
    expect(not late, f"{names[0]} {'at' if exactly else 'by'} {spoken(when)}", f"at {spoken(due)}")
    strangers = [" ".join(ring) for ring in _due(engine, due) if ring[1] not in story.quiet and ring not in wanted]
    expect(not strangers, ", ".join(names), f"{', '.join(strangers)} at the same moment")
    story.heard.clear()
    story.now = due
    emissions = engine.tick(due)
    rung = [(one.machine, one.trigger) for one in story.heard if (one.machine, one.trigger) in wanted]
    expect(rung == wanted, ", ".join(map(" ".join, wanted)), ", ".join(map(" ".join, rung)))
    return emissions


def _deadline(engine: Engine, machine: str, trigger: str) -> datetime | None:
    instance = engine.instances.get(machine)
    expect(instance is not None, f"{machine} to live", "no such machine")
    return instance.deadlines.get(trigger) if instance else None


def _waiting(engine: Engine, machine: str) -> str:
    deadlines = engine.instances[machine].deadlines
    return ", ".join(f"{trigger} at {spoken(at)}" for trigger, at in deadlines.items()) or "no alarm"


def _remember(story: Story, emissions: Iterable[Emission]) -> None:
    for emission in emissions:
        story.latest[emission.machine, type(emission.effect).__name__] = emission.effect


def _found(story: Story, machine: str, emissions: Iterable[Emission]) -> str:
    mine = [one for one in story.heard if one.machine == machine]
    state = story.states.get(machine, "unknown") if any(one.taken for one in mine) else IGNORED
    others = dict.fromkeys(one.machine for one in story.heard if one.taken and one.machine != machine)
    states = "; ".join([state, *(f"{name} {story.states[name]}" for name in others)])
    does = ", ".join(shown(emission.effect) for emission in emissions) or "nothing"
    return f"-> {states}  does: {does}  because: {story.reasons.get(machine, '')}"


def _compare_states(story: Story, expected: str, found: str) -> None:
    first, *others = (part.strip() for part in expected.split(";"))
    expect(found.startswith((f"-> {first} ", f"-> {first};")), f"-> {first}", found)
    for other in others:
        name, _, state = other.partition(" ")
        reached = story.states.get(name, "no such machine")
        expect(reached == state.strip(), f"{name} {state}", f"{name} {reached}")


def _compare_effects(story: Story, text: str, emissions: Sequence[Emission]) -> None:
    wanted = [] if text == "nothing" else [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    found = ", ".join(shown(emission.effect) for emission in emissions) or "nothing"
    expect(len(wanted) == len(emissions), f"does: {text}", f"does: {found}")
    for want, emission in zip(wanted, emissions, strict=True):
        name, _, arguments = want.partition("(")
        expect(name.strip() == called(emission.effect), f"does: {want}", f"does: {shown(emission.effect)}")
        subject = emission.effect.data if isinstance(emission.effect, Tell) else emission.effect
        for argument in filter(None, map(str.strip, arguments.rstrip(")").split(", "))):
            path, _, value = argument.partition("=")
            have, expected = text_of(at(subject, path)), text_of(_value(story, value, emission.machine))
            expect(have == expected, f"{name} with {path}={expected}", f"{path}={have}")


if __name__ == "__main__":
    from zosfsm.lifecycles.catalogue import catalogue

    try:
        play(Path(sys.argv[1]), catalogue(), print)
    except Mismatch as mismatch:
        sys.exit(str(mismatch))
