"""Names and paths of a lab."""

from __future__ import annotations

import pytest

from zosfsm.lab.errors import LabError
from zosfsm.lab.place import Place


def test_the_default_lab_has_the_documented_directory_and_names() -> None:
    place = Place()
    assert str(place.directory) == "/run/zosfsm-lab"
    assert place.namespace("node1") == "zl-node1"


def test_labs_of_different_prefixes_do_not_meet() -> None:
    one, other = Place("one"), Place("onemore")
    assert one.directory != other.directory
    assert not one.owns(other.namespace("node1"))
    assert not other.owns(one.namespace("node1"))


@pytest.mark.parametrize("prefix", ["", "a b", "../x", "-x", "A", "1a", "x" * 13, "a-b", "ä"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(LabError, match="expected a lab's name"):
        Place(prefix)
