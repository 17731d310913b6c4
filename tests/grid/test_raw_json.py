"""The strict JSON reader, against the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.errors import DocumentInvalid
from zosfsm.grid.raw_json import DEEPEST, decode, elements, members, parse, spliced

storable = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable,
    lambda inner: st.lists(inner) | st.dictionaries(storable, inner),
    max_leaves=20,
)
blanks = st.text(" \t\r\n", max_size=3)


@given(values, st.booleans(), st.sampled_from([None, 0, 2]))
def test_what_the_standard_library_writes_is_read_as_it_reads_it(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse(text) == json.loads(text)


@given(st.dictionaries(storable, values), blanks)
def test_the_raw_text_of_each_member_is_a_slice_that_means_the_same(document: dict[str, object], blank: str) -> None:
    text = blank + json.dumps(document, indent=1) + blank
    raw = members(text)
    assert {name: json.loads(piece) for name, piece in raw.items()} == document
    assert all(piece in text and piece == piece.strip() for piece in raw.values())


@given(st.lists(values), blanks)
def test_the_raw_text_of_each_element_is_a_slice_that_means_the_same(document: list[object], blank: str) -> None:
    text = blank + json.dumps(document, separators=(blank + "," + blank, ":")) + blank
    assert [json.loads(piece) for piece in elements(text)] == document


@given(st.binary())
def test_no_bytes_make_reading_raise_anything_else(content: bytes) -> None:
    for reader in (parse, members, elements):
        try:
            reader(decode(content))
        except DocumentInvalid:
            continue


@given(st.text(st.sampled_from('{}[]",:\\u0dD8 1e-nulltrue\n')))
def test_no_text_that_looks_like_json_makes_reading_raise_anything_else(text: str) -> None:
    for reader in (parse, members, elements):
        try:
            reader(text)
        except DocumentInvalid:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,}',
        '{"a" 1}',
        "{'a':1}",
        '{"a":1} x',
        "[1",
        "[1,]",
        "[1] 2",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "[18446744073709551616]",
        "[-9223372036854775809]",
        "9" * 5000,
        '"\\ud800"',
        '{"\\udfff":1}',
        '{"a":["\\u0000"]}',
        '{"a":1,"a":2}',
        '{"b":{"a":1,"\\u0061":2}}',
        '"\n"',
        "\ufeff{}",
    ],
)
def test_what_two_readers_could_take_differently_is_refused(text: str) -> None:
    with pytest.raises(DocumentInvalid):
        parse(text)


def test_nesting_is_refused_before_it_exhausts_anything() -> None:
    assert parse("[" * DEEPEST + "]" * DEEPEST)
    for depth in (DEEPEST + 2, 100_000):
        for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
            with pytest.raises(DocumentInvalid):
                parse(text)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert parse('"\\\\u0000"') == "\\u0000"


def test_members_repeated_under_another_spelling_are_refused() -> None:
    with pytest.raises(DocumentInvalid):
        members('{"data":1,"d\\u0061ta":2}')


def test_splicing_keeps_the_raw_text() -> None:
    text = spliced({"id": "ä"}, {"data": '{ "x" :1.50 }'})
    assert members(text) == {"id": '"ä"', "data": '{ "x" :1.50 }'}


def test_bytes_that_are_not_utf8_are_named() -> None:
    with pytest.raises(DocumentInvalid, match="offset 1"):
        decode(b'"\xff"')
