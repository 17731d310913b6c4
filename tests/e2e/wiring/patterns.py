"""How a wiring writes what it expects: sequences of states, and sentences with placeholders. Pure."""

from __future__ import annotations

import re

_PLACEHOLDERS = {
    "time": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
    "duration": r"(?:less than 1 s|\d+ (?:ms|s|min|h|d)(?: \d+ (?:s|min|h))?)",
    "count": r"\d+",
    "mac": r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}",
    "address": r"[0-9a-f.:]+(?:/\d+)?",
    "any": r".*",
}


def goes_through(pattern: str, states: list[str]) -> bool:
    """Whether this is the sequence of states. Words are states; `?`, `*`, `+`, `|` and brackets as in expressions.

    `listing probing (waiting listing probing)* attaching` allows any number of rounds in between.
    """
    expression = re.sub(r"[a-z_]+", r"(?:\g<0>,)", pattern).replace(" ", "")
    return re.fullmatch(expression, "".join(f"{state}," for state in states)) is not None


def says(pattern: str, sentence: str) -> bool:
    """Whether this is the sentence, in which `{time}`, `{duration}`, `{count}`, `{mac}`, ... stand for any."""
    parts = re.split(r"\{([a-z]+)\}", pattern)
    expression = "".join(_PLACEHOLDERS[part] if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
    return re.fullmatch(expression, sentence) is not None


def alike(pattern: str, sentence: str) -> bool:
    """Whether a sentence of the documentation is what the pattern is about: NICs, addresses and times may differ."""
    return says(_plain(pattern), _plain(sentence))


def _plain(text: str) -> str:
    for placeholder, expression in (
        ("mac", _PLACEHOLDERS["mac"]),
        ("time", _PLACEHOLDERS["time"]),
        ("address", r"\b(?:\d+\.){3}\d+(?:/\d+)?|\b[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f]*(?:/\d+)?"),
        ("duration", r"less than 1 s|\b\d+ (?:ms|s|min|h|d)\b(?: \d+ (?:s|min|h)\b)?"),
        ("nic", r"\beth\d+"),
        ("count", r"(?<![\w{])\d+\b"),
    ):
        text = re.sub(expression, f"<{placeholder}>", text)
    return re.sub(r"\{(mac|time|address|duration|count)\}", r"<\1>", text)
