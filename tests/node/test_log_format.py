"""The log: for people on a terminal, JSON elsewhere, and never a key in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import frozen

from zosfsm.node.log_format import configure_logging

TRANSITION: dict[str, Any] = {
    "machine": "connectivity",
    "event": "interface_usable",
    "source": "probing",
    "target": "attaching",
    "reason": "eth2: the gateway answers",
}


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@frozen
class Sealed:
    """An effect with something in it that is nobody's business."""

    key: str


@pytest.fixture(autouse=True)
def the_root_logger_comes_back() -> Iterator[None]:
    root, room = logging.getLogger(), logging.getLogger("zosfsm")
    before = (root.handlers[:], root.level, room.level)
    yield
    root.handlers[:], level, room_level = before[0], before[1], before[2]
    root.setLevel(level)
    room.setLevel(room_level)


def logged(stream: io.StringIO, write: Callable[[logging.Logger], None], debug: bool = False) -> str:
    """What the stream gets."""
    configure_logging(debug, stream)
    write(logging.getLogger("zosfsm.node.node"))
    return stream.getvalue()


def test_a_transition_reads_as_a_line_on_a_terminal() -> None:
    line = logged(Terminal(), lambda log: log.info("transition", extra=TRANSITION))
    assert line[2] == line[5] == ":"
    assert line[9:] == "connectivity probing -> attaching (interface_usable) eth2: the gateway answers\n"


def test_a_transition_that_stays_names_its_state_once() -> None:
    line = logged(Terminal(), lambda log: log.info("transition", extra={**TRANSITION, "target": "probing"}))
    assert line[9:] == "connectivity probing (interface_usable) eth2: the gateway answers\n"


def test_anything_else_tells_its_fields_and_how_bad_it_is() -> None:
    line = logged(Terminal(), lambda log: log.warning("a new link vanished", extra={"link": "eth5"}))
    assert line[9:] == "warning: a new link vanished (link=eth5)\n"


def test_elsewhere_each_event_is_one_json_object() -> None:
    text = logged(io.StringIO(), lambda log: log.info("transition", extra=TRANSITION))
    document = json.loads(text)
    assert text.count("\n") == 1
    assert document.pop("time").endswith("Z")
    assert document == {"level": "info", "logger": "zosfsm.node.node", "message": "transition", **TRANSITION}


def test_an_object_is_logged_by_its_type_alone() -> None:
    text = logged(io.StringIO(), lambda log: log.error("effect failed", extra={"effect": Sealed("secret")}))
    assert json.loads(text)["effect"] == "Sealed"
    assert "secret" not in text


def test_an_address_is_logged_as_it_is_written() -> None:
    text = logged(io.StringIO(), lambda log: log.info("x", extra={"at": [IPv4Address("192.0.2.1"), 3]}))
    assert json.loads(text)["at"] == ["192.0.2.1", 3]


def test_what_a_network_says_cannot_steer_the_terminal() -> None:
    line = logged(Terminal(), lambda log: log.info("transition", extra={**TRANSITION, "reason": "\x1b[2J\nroot:"}))
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_an_exception_comes_with_its_traceback() -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("effect failed")

    assert "ValueError: no" in json.loads(logged(io.StringIO(), fail))["exception"]
    assert "ValueError: no" in logged(Terminal(), fail)


def test_debug_lines_are_told_only_on_demand() -> None:
    assert logged(io.StringIO(), lambda log: log.debug("event ignored")) == ""
    assert "event ignored" in logged(io.StringIO(), lambda log: log.debug("event ignored"), debug=True)


def test_libraries_are_heard_when_they_warn() -> None:
    stream = io.StringIO()
    configure_logging(True, stream)
    logging.getLogger("httpx").info("HTTP Request")
    assert stream.getvalue() == ""
    logging.getLogger("httpx").warning("something is odd")
    assert "something is odd" in stream.getvalue()


def test_configuring_twice_does_not_tell_twice() -> None:
    stream = io.StringIO()
    configure_logging(False, stream)
    assert logged(stream, lambda log: log.info("once")).count("once") == 1
