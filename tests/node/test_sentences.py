"""How states and lengths of time are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from zosfsm.node.sentences import in_words, lower, state_sentence


def test_a_state_of_another_version_is_told_by_its_name() -> None:
    assert state_sentence("connectivity", "levitating_nic") == "levitating nic"
    assert state_sentence("tea:pot", "hot") == "hot"


def test_a_word_in_capitals_stays_in_capitals() -> None:
    assert lower("The NIC is there") == "the NIC is there"
    assert lower("DHCP gave no address") == "DHCP gave no address"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than 1 s"),
        (8, "8 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_told_to_two_units(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
