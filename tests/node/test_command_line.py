"""The kernel command line: whatever is on it, the node starts, and says what it could not use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.node.command_line import LARGEST_FARM_ID, CommandLine, RunMode, is_grid_url, parse

WORDS = st.sampled_from(
    [
        "runmode=",
        "farmer_id=",
        "bcdb=",
        "zos-debug",
        "dev",
        "http://",
        "[",
        "]",
        ":",
        '"',
        "'",
        "\\",
        " ",
        "7",
        "=",
        "\0",
    ]
)


def test_everything_that_a_farmer_writes_is_read() -> None:
    told = parse("quiet runmode=dev farmer_id=12 bcdb=http://192.0.2.1:8080 zos-debug console=ttyS0")
    assert told == CommandLine(RunMode.DEVELOPMENT, 12, "http://192.0.2.1:8080", True, ())


def test_an_empty_command_line_is_a_production_node_without_a_farm() -> None:
    assert parse("") == CommandLine()


def test_the_first_value_given_wins() -> None:
    told = parse("runmode=test runmode=dev farmer_id=3 farmer_id=4")
    assert (told.run_mode, told.farm_id) == (RunMode.TEST, 3)


def test_values_may_be_quoted_as_in_a_shell() -> None:
    assert parse("'runmode=dev' farmer_id=\"5\"").farm_id == 5


def test_a_quotation_mark_without_partner_is_told_and_the_rest_is_read() -> None:
    told = parse("farmer_id=6 title='it")
    assert told.farm_id == 6
    assert "quotation mark" in told.complaints[0]


def test_an_unknown_runmode_is_production_and_is_told() -> None:
    told = parse("runmode=staging")
    assert told.run_mode is RunMode.PRODUCTION
    assert told.complaints == ("runmode= is dev, test or prod, found 'staging'; the node runs as prod",)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0x10", "seven", "٣", "9" * 19, "1" * 4000])
def test_a_farm_id_that_is_no_whole_number_of_63_bits_is_told_and_the_node_has_no_farm(text: str) -> None:
    told = parse(f"farmer_id={text}")
    assert told.farm_id == 0
    assert len(told.complaints) == 1
    assert len(told.complaints[0]) < 160


def test_the_largest_farm_id_is_one() -> None:
    assert parse(f"farmer_id={LARGEST_FARM_ID}").farm_id == LARGEST_FARM_ID


@pytest.mark.parametrize("mode", ["test", "prod"])
def test_a_grid_is_named_in_development_only(mode: str) -> None:
    told = parse(f"runmode={mode} bcdb=http://192.0.2.1")
    assert told.grid_url == ""
    assert "runmode=dev only" in told.complaints[0]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://192.0.2.1",
        "192.0.2.1:8080",
        "http://",
        "http://[::1",
        "http://a:99999",
        "http://a:b",
        "http://a:0",
        "http://user@a",
        "http://a?b",
        "http://a#b",
        "http://ä",
    ],
)
def test_a_grid_at_an_impossible_address_is_told_and_ignored(url: str) -> None:
    told = parse(f"runmode=dev bcdb={url}")
    assert told.grid_url == ""
    assert "bcdb= is a URL" in told.complaints[0]


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1", "https://grid.example/", "http://[2001:db8::1]:8080", "http://a:80/b"]
)
def test_http_addresses_are_grid_addresses(url: str) -> None:
    assert is_grid_url(url)


@given(st.one_of(st.text(), st.lists(WORDS).map("".join)))
def test_no_command_line_keeps_the_node_from_starting(text: str) -> None:
    told = parse(text)
    assert 0 <= told.farm_id <= LARGEST_FARM_ID
    assert told.grid_url == "" or is_grid_url(told.grid_url)
