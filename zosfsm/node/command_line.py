"""The kernel command line: what of it concerns the node. Pure; a wrong value is a complaint and a default."""

from __future__ import annotations

import shlex
from enum import Enum
from urllib.parse import urlsplit

from attrs import frozen

LARGEST_FARM_ID = 2**63 - 1


class RunMode(Enum):
    """Which grid the node belongs to."""

    DEVELOPMENT = "dev"
    TEST = "test"
    PRODUCTION = "prod"


@frozen
class CommandLine:
    """`farm_id` 0: the node belongs to no farm. `complaints`: one sentence for each value that was not usable."""

    run_mode: RunMode = RunMode.PRODUCTION
    farm_id: int = 0
    grid_url: str = ""
    debug: bool = False
    complaints: tuple[str, ...] = ()


def parse(text: str) -> CommandLine:
    """Reads a kernel command line (Zero-OS: runmode=, farmer_id=, bcdb=, zos-debug). Never raises."""
    words, complaints = _words(text)
    values = _first_values(words)
    mode = _mode(values, complaints)
    return CommandLine(
        run_mode=mode,
        farm_id=_farm_id(values, complaints),
        grid_url=_grid_url(values, mode, complaints),
        debug="zos-debug" in words,
        complaints=tuple(complaints),
    )


def _words(text: str) -> tuple[list[str], list[str]]:
    try:
        return shlex.split(text, comments=False), []
    except ValueError:
        complaint = "the kernel command line has a quotation mark without its partner; it was split at the spaces"
        return text.split(), [complaint]


def _first_values(words: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            values.setdefault(name, value)
    return values


def _mode(values: dict[str, str], complaints: list[str]) -> RunMode:
    text = values.get("runmode", RunMode.PRODUCTION.value)
    if text not in [mode.value for mode in RunMode]:
        complaints.append(f"runmode= is dev, test or prod, found {text[:40]!r}; the node runs as prod")
        return RunMode.PRODUCTION
    return RunMode(text)


def _farm_id(values: dict[str, str], complaints: list[str]) -> int:
    text = values.get("farmer_id")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > LARGEST_FARM_ID or len(text) > 19:
        complaints.append(f"farmer_id= is a whole number, found {text[:40]!r}; the node belongs to no farm")
        return 0
    return int(text)


def _grid_url(values: dict[str, str], mode: RunMode, complaints: list[str]) -> str:
    url = values.get("bcdb", "")
    if not url:
        return ""
    if mode is not RunMode.DEVELOPMENT:
        complaints.append(f"bcdb= is heeded with runmode=dev only, found it with runmode={mode.value}; it is ignored")
        return ""
    if not is_grid_url(url):
        complaints.append(f"bcdb= is a URL such as http://192.0.2.1:8080, found {url[:80]!r}; it is ignored")
        return ""
    return url


def is_grid_url(text: str) -> bool:
    """Can a grid database be at this address?"""
    try:
        parts = urlsplit(text)
        has_place = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return has_place and is_plain and text.isascii() and text.isprintable() and " " not in text
