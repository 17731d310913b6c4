"""JSON as the grid's peers may send it: read strictly, with the raw text of each member at hand.

Signatures cover the bytes of a field as they were sent, so a reader has to be able to give those bytes back.
Must not raise anything but DocumentInvalid, whatever the text is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn, TypeVar

from zosfsm.grid.errors import DocumentInvalid, shown

Found = TypeVar("Found")

DEEPEST = 64
_SMALLEST_INTEGER = -(2**63)
_LARGEST_INTEGER = 2**64 - 1
_LONGEST_INTEGER = 20

_BLANK = re.compile(r"[ \t\n\r]*")
# An escape that may stand for a character which neither UTF-8 nor a database can hold: NUL, or half a surrogate pair.
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode(content: bytes) -> str:
    """The text of a body, which must be UTF-8 (RFC 8259, section 8.1)."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentInvalid("", "JSON in UTF-8", f"a byte that is not UTF-8 at offset {error.start}") from None


def parse(text: str) -> object:
    """The value. Refuses what is no JSON, integers beyond 64 bits, NUL, lone surrogates, depth, repeated keys."""
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise DocumentInvalid("", "JSON", f"{error.msg.lower()} at offset {error.pos}") from None
    except RecursionError:
        _refuse_depth()
    _check_depth(value)
    if _SUSPICIOUS_ESCAPE.search(text) or _UNSTORABLE.search(text):
        _check_characters(value)
    return value


def members(text: str) -> dict[str, str]:
    """The raw text of each member of the object that `text` is."""
    position = _expect(text, 0, "{", "an object")
    found: dict[str, str] = {}
    if text.startswith("}", position):
        return _finished(text, position + 1, found)
    while True:
        if not text.startswith('"', position):
            _refuse_syntax(position)
        name_end = _end_of_value(text, position)
        name = str(parse(text[position:name_end]))
        start = _expect(text, name_end, ":", "a colon")
        end = _end_of_value(text, start)
        if name in found:
            _refuse_repetition(name)
        found[name] = text[start:end]
        position = _skip(text, end)
        if text.startswith("}", position):
            return _finished(text, position + 1, found)
        position = _expect(text, position, ",", "a comma")


def elements(text: str) -> list[str]:
    """The raw text of each element of the list that `text` is; one bad element does not spoil the others."""
    position = _expect(text, 0, "[", "a list")
    found: list[str] = []
    if text.startswith("]", position):
        return _finished(text, position + 1, found)
    while True:
        end = _end_of_value(text, position)
        found.append(text[position:end])
        position = _skip(text, end)
        if text.startswith("]", position):
            return _finished(text, position + 1, found)
        position = _expect(text, position, ",", "a comma")


def spliced(document: dict[str, object], raw: dict[str, str]) -> str:
    """One object's text from values and from members whose raw text must stay as it is."""
    parts = [f"{_dumped(name)}:{_dumped(value)}" for name, value in document.items()]
    parts += [f"{_dumped(name)}:{text}" for name, text in raw.items()]
    return "{" + ",".join(parts) + "}"


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _end_of_value(text: str, start: int) -> int:
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        raise DocumentInvalid("", "JSON", f"{error.msg.lower()} at offset {error.pos}") from None
    except RecursionError:
        _refuse_depth()


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _expect(text: str, position: int, mark: str, expected: str) -> int:
    position = _skip(text, position)
    if not text.startswith(mark, position):
        raise DocumentInvalid("", expected, f"something else at offset {position}")
    return _skip(text, position + 1)


def _finished(text: str, position: int, found: Found) -> Found:
    end = _skip(text, position)
    if end != len(text):
        raise DocumentInvalid("", "the end of the document", f"more text at offset {end}")
    return found


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(DEEPEST + 1):
        level = [child for parent in level for child in _children(parent) if isinstance(child, (dict, list))]
        if not level:
            return
    _refuse_depth()


def _check_characters(value: object) -> None:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str) and _UNSTORABLE.search(current):
            raise DocumentInvalid("", "text without NUL and lone surrogates", shown(current))
        if isinstance(current, dict):
            waiting.extend(current)
        waiting.extend(_children(current))


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _integer(text: str) -> int:
    # The length first: Python refuses to convert thousands of digits, and would be slow for many.
    if len(text) <= _LONGEST_INTEGER and _SMALLEST_INTEGER <= int(text) <= _LARGEST_INTEGER:
        return int(text)
    raise DocumentInvalid("", "integers of at most 64 bits", shown(text))


def _number(text: str) -> float:
    value = float(text)
    if math.isfinite(value):
        return value
    raise DocumentInvalid("", "finite numbers", shown(text))


def _constant(text: str) -> NoReturn:
    raise DocumentInvalid("", "finite numbers", text)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    return _refuse_repetition(counts.most_common(1)[0][0])


def _refuse_repetition(name: str) -> NoReturn:
    # Two readers may choose differently among repeated keys: what one verified, another would act on.
    raise DocumentInvalid("", "each key once in an object", f"{shown(name)} again")


def _refuse_depth() -> NoReturn:
    raise DocumentInvalid("", f"at most {DEEPEST} levels of nesting", "more of them")


def _refuse_syntax(position: int) -> NoReturn:
    raise DocumentInvalid("", "JSON", f"something else at offset {position}")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)
# Only finds where values end; what they hold is judged when they are parsed.
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
