"""How the node's log looks: a line an event, for people on a terminal, JSON everywhere else. Decides nothing.

What is logged are names, states and reasons. An object is logged by its type alone, so that no key gets into a log.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from pathlib import Path
from typing import TextIO

ROOM = "zosfsm"

_PLAIN = (str, int, float, bool, type(None))
_TEXTS = (IPv4Address, IPv6Address, IPv4Interface, Path)
# What every record has, and what is therefore no field of the event's own (logging.LogRecord).
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(debug: bool, stream: TextIO | None = None) -> None:
    """Sends our log lines to `stream` (standard error), in the form that suits it; may be called again."""
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(TerminalFormatter() if target.isatty() else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Libraries tell what they do in a prose of their own: only their warnings are worth a line.
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOM).setLevel(logging.DEBUG if debug else logging.INFO)


class TerminalFormatter(logging.Formatter):
    """`20:31:02 connectivity probing -> attaching (interface_usable) eth2: the gateway answers`."""

    def format(self, record: logging.LogRecord) -> str:
        """The time is UTC, as in the status and the journal."""
        fields = _fields(record)
        told = (
            _transition(fields) if {"machine", "event", "source", "target"} <= fields.keys() else _event(record, fields)
        )
        line = _printable(f"{_at(record):%H:%M:%S} {told}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Times are RFC 3339 in UTC."""
        document: dict[str, object] = {
            "time": _at(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: _value(value) for name, value in vars(record).items() if name not in _STANDARD}


def _value(value: object) -> object:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_value(one) for one in value]
    return type(value).__name__


def _transition(fields: Mapping[str, object]) -> str:
    source, target = fields["source"], fields["target"]
    states = f"{source} -> {target}" if source != target else f"{source}"
    reason = fields.get("reason")
    return f"{fields['machine']} {states} ({fields['event']})" + (f" {reason}" if reason else "")


def _event(record: logging.LogRecord, fields: Mapping[str, object]) -> str:
    level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
    told = " ".join(f"{name}={value}" for name, value in fields.items())
    return f"{level}{record.getMessage()}" + (f" ({told})" if told else "")


def _printable(text: str) -> str:
    # A DHCP server's or the grid's words may be in it: they must not steer the terminal.
    return "".join(character if character.isprintable() else "?" for character in text)
