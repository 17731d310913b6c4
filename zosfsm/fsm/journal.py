"""What is written down of each transition before its effects run, and how the same states come out of it again.

Records are plain data: whoever keeps them (a database, a list in a test) decides where. Opens no files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import cattrs
from attrs import frozen


@frozen
class Record:
    """One transition. `data` is the event's data as JSON text; `target` equals `source` where it stayed.

    `reason` is the machine's, for readers; `said` is the reason that the event brought with it, for a replay.
    """

    at: datetime
    machine: str
    trigger: str
    source: str
    target: str
    attempt: int
    reason: str
    data: str = "null"
    said: str = ""


Journal = Callable[[Record], None]


def unstructured(value: object) -> str:
    """A payload or a machine's data as JSON text."""
    return json.dumps(_CONVERTER.unstructure(value), separators=(",", ":"), sort_keys=True)


def structured(text: str, kind: type) -> Any:
    """The inverse of `unstructured`; raises whatever json and cattrs raise for a text that is not of this kind."""
    return None if kind is type(None) else _CONVERTER.structure(json.loads(text), kind)


def machines(records: Iterable[Record]) -> frozenset[str]:
    """The full names of all machines that the records speak of."""
    return frozenset(record.machine for record in records)


ADDRESSES = (IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for kind in ADDRESSES:
        converter.register_unstructure_hook(kind, str)
        converter.register_structure_hook(kind, _from_text)
    converter.register_structure_hook_func(_is_one_of_addresses, _from_any_text)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_unstructure_hook(timedelta, timedelta.total_seconds)
    converter.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
    converter.register_unstructure_hook(Enum, lambda member: member.value)
    return converter


def _from_text(text: str, kind: type) -> object:
    return kind(text)


def _is_one_of_addresses(kind: object) -> bool:
    return get_origin(kind) in (Union, UnionType) and set(get_args(kind)) <= {*ADDRESSES, NoneType}


def _from_any_text(text: str | None, kind: Any) -> object:
    kinds = get_args(kind)
    if text is None and NoneType in kinds:
        return None
    for member in kinds:
        try:
            return member(text)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"expected one of {kind}, found {text!r}")


_CONVERTER = _converter()
