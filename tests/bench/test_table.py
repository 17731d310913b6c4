"""Tables as text and as a document."""

from __future__ import annotations

import json

from bench.table import WIDTH, Row, Table, document, text

TABLE = Table(
    "dhcp",
    "From exec to online",
    (
        Row("zosfsm run", "ms", (610.0, 590.0, 700.0)),
        Row("  of which imports", "ms", (420.0,)),
        Row("udhcpc", "ms", ()),
    ),
    ("zosfsm proves its gateway.",),
)


def test_a_table_shows_each_row_with_its_unit_and_figures_side_by_side() -> None:
    assert text(TABLE) == (
        "From exec to online\n"
        "                      unit  median  min  max  runs\n"
        "  zosfsm run          ms       610  590  700     3\n"
        "    of which imports  ms       420  420  420     1\n"
        "  udhcpc              ms      none               0\n"
        "  * zosfsm proves its gateway."
    )


def test_a_long_note_is_broken_into_lines_that_fit() -> None:
    printed = text(Table("n", "t", (), ("word " * 60,)))
    assert all(len(line) <= WIDTH for line in printed.splitlines())
    assert len(printed.splitlines()) > 3


def test_a_document_has_every_sample_in_order_and_can_be_written_as_json() -> None:
    found = json.loads(json.dumps(document(TABLE)))
    assert found["name"] == "dhcp"
    assert found["rows"][0] == {
        "label": "zosfsm run",
        "unit": "ms",
        "samples": [610.0, 590.0, 700.0],
        "runs": 3,
        "median": 610.0,
        "min": 590.0,
        "max": 700.0,
    }


def test_a_row_without_samples_has_no_figures_in_the_document() -> None:
    assert document(TABLE)["rows"][2] == {"label": "udhcpc", "unit": "ms", "samples": [], "runs": 0}
