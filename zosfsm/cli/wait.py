"""`zosfsm wait`: until machines are in the states asked for; what zinit's `test:` wants."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen

from zosfsm.cli.errors import DONE, FAILED, NOT_IN_STATE, USAGE, CommandFailed
from zosfsm.cli.grid_calls import printable
from zosfsm.cli.status import add_run_directory
from zosfsm.fsm.definition import Kind, MachineDefinition
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.node.explanation import why
from zosfsm.node.status_document import SINGLETONS
from zosfsm.node.status_entries import Status
from zosfsm.node.status_reader import StatusAbsent, StatusUnavailable, is_over, read_status

_POLL_SECONDS = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm wait`."""
    parser.add_argument(
        "conditions",
        nargs="+",
        metavar="MACHINE=STATE",
        help="connectivity=online, registration=registered, interface:eth0=selected, resource:ID=active, ...",
    )
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="at most (%(default)g)")
    add_run_directory(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 as soon as all conditions hold at once, 3 when the time is over, 2 for a machine or state that is none."""
    if not (math.isfinite(arguments.timeout) and arguments.timeout >= 0):
        raise CommandFailed(f"--timeout: expected seconds, found {arguments.timeout}", USAGE)
    conditions = _conditions(arguments.conditions)
    deadline = time.monotonic() + arguments.timeout
    while True:
        status, absence = None, ""
        try:
            status = read_status(arguments.run_dir)
        except StatusAbsent as error:
            # A node that is just being started has none yet.
            absence = str(error)
        except StatusUnavailable as error:
            raise CommandFailed(str(error), FAILED) from error
        if status is not None and all(condition.holds(status) for condition in conditions):
            return DONE
        if time.monotonic() >= deadline:
            raise CommandFailed(_disappointment(conditions, status, absence, arguments.timeout), NOT_IN_STATE)
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


@frozen
class Condition:
    """`machine` is a full name. A machine of which there are several and that is not there is in its final states."""

    machine: str
    state: str
    is_end: bool

    def holds(self, status: Status) -> bool:
        """Is it so, and is there a node of which it is so?"""
        return not is_over(status) and self._is_there(status)

    def _is_there(self, status: Status) -> bool:
        machine = status.machines.get(self.machine)
        return self.is_end if machine is None else machine.state == self.state

    def present(self, status: Status) -> str:
        """What is the case instead."""
        machine = status.machines.get(self.machine)
        if machine is None:
            return f"no {self.machine}"
        reason = f" ({machine.reason.rstrip('.')})" if machine.reason else ""
        return f"{self.machine}={machine.state}{reason}"


def _conditions(words: Sequence[str]) -> tuple[Condition, ...]:
    definitions = {definition.name: definition for definition, _ in catalogue()}
    return tuple(_condition(word, definitions) for word in words)


def _condition(word: str, definitions: dict[str, MachineDefinition]) -> Condition:
    machine, equals, state = word.partition("=")
    kind, colon, key = machine.partition(":")
    if not equals:
        raise CommandFailed(f"expected MACHINE=STATE such as connectivity=online, found {word!r}", USAGE)
    definition = definitions.get(kind)
    if definition is None:
        raise CommandFailed(f"expected one of the machines {', '.join(definitions)}, found {kind!r}", USAGE)
    if (kind in SINGLETONS) == bool(colon) or bool(colon) != bool(key):
        form = kind if kind in SINGLETONS else f"{kind}:NAME, since there may be several"
        raise CommandFailed(f"expected {form}, found {machine!r}", USAGE)
    if state not in definition.states:
        raise CommandFailed(f"expected one of {kind}'s states {', '.join(definition.states)}, found {state!r}", USAGE)
    is_end = kind not in SINGLETONS and definition.states[state].kind is Kind.FINAL
    return Condition(machine, state, is_end)


def _disappointment(conditions: Sequence[Condition], status: Status | None, absence: str, seconds: float) -> str:
    missing = [condition for condition in conditions if status is None or not condition.holds(status)]
    wanted = ", ".join(f"{condition.machine}={condition.state}" for condition in missing)
    if status is None:
        return f"expected {wanted} within {seconds:g} s; {absence}"
    found = ", ".join(dict.fromkeys(condition.present(status) for condition in missing))
    sentences = " ".join(why(status, datetime.now(UTC)))
    return printable(f"expected {wanted} within {seconds:g} s, found {found}. {sentences}")
