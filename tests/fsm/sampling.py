"""Makes data of any payload's type, mostly plausible: what a machine already knows comes back in many of its samples.

An answer that fits (the same transaction, link or version as in the machine's data) gets past guards that plain random
data never would; what does not fit is there too, to be refused.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs

from zosfsm.fsm.explorer import START, Samples

# A type's own ways to be made, from the machine's data: for what must fit in more than one field at a time.
Hints = Mapping[type, Sequence[Callable[[Any, random.Random], object]]]

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02", "")
WORDS = ("eth1", "eth2", "zos", "a", "", "ndmz")
LEAVES: Mapping[type, Sequence[object]] = {
    str: WORDS,
    int: (0, 1, 2, 60, 3600, 86400, 2**32 - 1, -1),
    float: (0.0, 1.5, 3600.0),
    bool: (True, False),
    datetime: tuple(START + timedelta(seconds=seconds) for seconds in (-86400, 0, 1, 3600, 31536000)),
    timedelta: tuple(timedelta(seconds=seconds) for seconds in (0, 1, 60, 86400)),
    IPv4Address: tuple(map(IPv4Address, ("192.0.2.1", "192.0.2.7", "192.0.2.9", "255.255.255.0", "0.0.0.0"))),
    IPv6Address: tuple(map(IPv6Address, ("2001:db8::1", "fe80::1", "::"))),
    IPv4Interface: tuple(map(IPv4Interface, ("192.0.2.7/24", "198.51.100.9/32"))),
    IPv6Interface: (IPv6Interface("2001:db8::7/64"),),
    IPv4Network: tuple(map(IPv4Network, ("192.0.2.0/24", "10.1.1.0/24", "0.0.0.0/0"))),
    IPv6Network: (IPv6Network("2001:db8::/64"),),
    bytes: (b"", b"x"),
    object: (None,),
    NoneType: (None,),
}


def sampler(seed: str = "samples", count: int = 6, hints: Hints | None = None) -> Samples:
    """What `provoke` asks for data: `count` values of a payload's type, the same ones for the same machine's data."""

    def samples(trigger: str, kind: type, known: object) -> Sequence[object]:
        if kind is NoneType:
            return (None,)
        source = random.Random(f"{seed}/{trigger}/{known!r}")
        pool = _Pool(known)
        hinted = [make(known, source) for make in (hints or {}).get(kind, ())]
        return [*hinted, *(value(kind, source, pool) for _ in range(count))]

    return samples


class _Pool:
    """All that is somewhere in a machine's data, by type and by the name of its field."""

    def __init__(self, known: object = None) -> None:
        self.by_type: dict[type, list[object]] = defaultdict(list)
        self.by_name: dict[tuple[str, type], list[object]] = defaultdict(list)
        for name, item in _items("", known):
            self.by_type[type(item)].append(item)
            self.by_name[name, type(item)].append(item)


def _items(name: str, item: object) -> Iterator[tuple[str, object]]:
    if item is None:
        return
    yield name, item
    if attrs.has(type(item)):
        for each in attrs.fields(type(item)):
            yield from _items(each.name, getattr(item, each.name))
    elif isinstance(item, tuple | list | frozenset):
        for member in item:
            yield from _items(name, member)
    elif isinstance(item, Mapping):
        for key, member in item.items():
            yield from _items(f"{name} key", key)
            yield from _items(name, member)


def value(kind: Any, source: random.Random, pool: _Pool | None = None, name: str = "") -> Any:
    """One value of a type; `pool` and `name` make it plausible."""
    pool = pool or _Pool()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return value(source.choice(arguments), source, pool, name)
    if origin in (tuple, list, frozenset, set):
        return _many(origin, arguments, source, pool, name)
    if origin is not None and issubclass(origin, Mapping):
        return {
            value(arguments[0], source, pool, f"{name} key"): value(arguments[1], source, pool, name)
            for _ in range(source.choice((0, 1, 2)))
        }
    known = pool.by_name.get((name, kind), []) if source.random() < 0.7 else []
    known = known or (pool.by_type.get(kind, []) if source.random() < 0.4 else [])
    if known:
        return source.choice(known)
    if attrs.has(kind):
        fields = attrs.fields(attrs.resolve_types(kind))
        return kind(**{each.alias: value(each.type, source, pool, each.name) for each in fields if each.init})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return source.choice(list(kind))
    if kind is str and "mac" in name:
        return source.choice(MACS)
    if kind not in LEAVES:
        raise TypeError(f"expected a plain type for {name}, found {kind!r}: a payload is journaled")
    return source.choice(LEAVES[kind])


def _many(origin: Any, arguments: tuple[Any, ...], source: random.Random, pool: _Pool, name: str) -> Any:
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return tuple(value(argument, source, pool, name) for argument in arguments)
    return origin(value(arguments[0], source, pool, name) for _ in range(source.choice((0, 1, 1, 2))))
