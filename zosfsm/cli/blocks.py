"""A table of texts, before it is known whether it goes to a terminal or to a file."""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from zosfsm.node.sentences import in_words


@frozen
class Block:
    """A table. `kinds` are those of its rows, for colours; empty where a row has none."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...] = ()


def length_of(length: timedelta) -> str:
    """How long, in words; what is over already is `0 s`."""
    return in_words(max(length, timedelta(0))).replace("less than 1 s", "0 s")
