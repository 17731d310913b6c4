"""Documents from JSON values and back, by cattrs: every wrong field becomes one DocumentInvalid that names it.

Nothing is converted on the quiet: a number is no text, a text no list. Unknown fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, NoReturn, TypeVar, get_args, get_origin

import attrs
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn

from zosfsm.grid.errors import DocumentInvalid, shown
from zosfsm.grid.raw_json import parse
from zosfsm.grid.scalars import Scalar, Wrong, read_integer, read_number, read_text, read_truth

T = TypeVar("T")

LONGEST_LIST = 10_000
_Read = Callable[[Any, Any], Any]


class _Nothing:
    """What was found where nothing was."""

    def __str__(self) -> str:
        return "nothing"


def read(kind: type[T], value: object, field: str = "") -> T:
    """The document of this kind that a parsed JSON value is; `field` is where it stood. Raises DocumentInvalid."""
    try:
        document: T = _CONVERTER.structure(value, kind)
    except Wrong as wrong:
        refuse(wrong, field)
    return document


def read_text_as(kind: type[T], text: str) -> T:
    """The document of this kind that a JSON text is. Raises DocumentInvalid."""
    return read(kind, parse(text))


def write(document: object) -> dict[str, Any]:
    """The JSON object of a document."""
    written: dict[str, Any] = _CONVERTER.unstructure(document)
    return written


def write_text(document: object) -> str:
    """The JSON text of a document."""
    return json.dumps(write(document), ensure_ascii=False, separators=(",", ":"))


def refuse(wrong: Wrong, field: str = "") -> NoReturn:
    """Says where a value is that is not as agreed."""
    path = field
    for step in wrong.path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    raise DocumentInvalid(path, wrong.expected, shown(wrong.found)) from None


def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    for kind, reader in ((str, read_text), (int, read_integer), (float, read_number), (bool, read_truth)):
        converter.register_structure_hook(kind, _plain(reader))
    converter.register_structure_hook_factory(attrs.has, lambda kind: _object_reader(kind, converter))
    converter.register_structure_hook_factory(_is_list, lambda kind: _list_reader(kind, converter))
    converter.register_structure_hook_factory(_is_scalar, lambda kind: _plain(_scalar(kind).read))
    converter.register_unstructure_hook_factory(_is_scalar, lambda kind: _scalar(kind).write)
    return converter


def _plain(reader: Callable[[object], object]) -> _Read:
    return lambda value, _kind: reader(value)


def _is_scalar(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(isinstance(extra, Scalar) for extra in kind.__metadata__)


def _scalar(kind: Any) -> Scalar:
    return next(extra for extra in kind.__metadata__ if isinstance(extra, Scalar))


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _list_reader(kind: Any, converter: Converter) -> _Read:
    element = get_args(kind)[0]

    def read_list(value: object, _kind: object) -> tuple[object, ...]:
        # Peers written in Go send null for a list without elements.
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > LONGEST_LIST:
            raise Wrong(f"a list of at most {LONGEST_LIST} elements", value)
        return tuple(_at(position, item) for position, item in enumerate(value))

    def _at(position: int, item: object) -> object:
        try:
            return converter.structure(item, element)
        except Wrong as wrong:
            raise Wrong(wrong.expected, wrong.found, (position, *wrong.path)) from None

    return read_list


def _object_reader(kind: Any, converter: Converter) -> _Read:
    read_fields = make_dict_structure_fn(kind, converter)

    def read_object(value: object, _kind: object) -> object:
        if not isinstance(value, dict):
            raise Wrong("an object", value)
        try:
            return read_fields(value, kind)
        except ClassValidationError as failures:
            raise _first(failures) from None

    return read_object


def _first(failures: ClassValidationError) -> Wrong:
    located, others = failures.group_exceptions()
    if not located:
        raise others[0]
    failure, note = located[0]
    if isinstance(failure, Wrong):
        return Wrong(failure.expected, failure.found, (note.name, *failure.path))
    if isinstance(failure, KeyError):
        return Wrong("a value", _Nothing(), (note.name,))
    raise failure


_CONVERTER = _converter()
