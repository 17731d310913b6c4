"""The published JSON Schema holds for what a node really writes, and refuses what it never would."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.node.driven_node import NETWORK_ID, DrivenNode
from zosfsm.lifecycles.connectivity_data import NicsListed
from zosfsm.node.status import Fault
from zosfsm.node.status_entries import CensusEntry
from zosfsm.node.status_schema import SCHEMA

VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)

LIVES: dict[str, Callable[[DrivenNode], DrivenNode]] = {
    "nothing yet": lambda node: node.writes(),
    "started": lambda node: node.starts(),
    "no NIC": lambda node: node.starts().hears("connectivity", "nics_listed", NicsListed(())),
    "no carrier": lambda node: node.starts().finds_nics(),
    "no way out": lambda node: node.starts().finds_nics("eth1").is_leased("eth1", 2, router=False).passes(30),
    "online": lambda node: node.comes_online(),
    "degraded": lambda node: node.finds_an_uplink().loses_the_grid(),
    "IPv6 only": lambda node: node.goes_online_by_ipv6(),
    "both families": lambda node: node.goes_online().is_advertised("eth2", 2).is_proven("eth2", "ipv6"),
    "a build under way": lambda node: node.comes_online().is_asked_for_a_network(),
    "a network": lambda node: node.comes_online().is_asked_for_a_network().builds_the_network(),
    "an orphan": lambda node: node.hears(f"resource:{NETWORK_ID}", "teardown"),
    "torn down": lambda node: node.comes_online().hears("connectivity", "teardown").passes(60),
    "stopped": lambda node: node.comes_online().writes(running=False),
}


@pytest.mark.parametrize("life", LIVES)
def test_it_holds_for_a_node_in(life: str, tmp_path: Path) -> None:
    VALIDATOR.validate(LIVES[life](DrivenNode(tmp_path)).document)


def test_it_holds_for_a_node_with_every_complaint(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path, farm_id=0, grid_url="", complaints=("a", "b"))
    node.file.add_fault(Fault("program-fault", "dmz", "ValueError"))
    node.file.add_fault(Fault("stored-machine-unusable", "resource:x", "its stored data cannot be read"))
    VALIDATOR.validate(node.starts().document)


def test_it_holds_for_a_node_that_has_taken_a_census(tmp_path: Path) -> None:
    node = DrivenNode(tmp_path).comes_online()
    node.file.take_census(CensusEntry(node.now, {"namespace": 2}, "cannot list the links: no memory"))
    VALIDATOR.validate(node.writes().document)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_documented_key_that_is_missing_is_refused(tmp_path: Path) -> None:
    document = DrivenNode(tmp_path).comes_online().document
    for key in list(document):
        with pytest.raises(ValidationError):
            VALIDATOR.validate({name: value for name, value in document.items() if name != key})


def test_what_is_not_documented_is_refused(tmp_path: Path) -> None:
    document = DrivenNode(tmp_path).comes_online().document
    for place in (
        *("", "uplink", "uplink/ipv4", "machines/connectivity", "interfaces/0", "interfaces/2/ipv4"),
        "interfaces/2/ipv6",
    ):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(_with_surplus(document, place))


def _with_surplus(document: dict[str, Any], place: str) -> dict[str, Any]:
    changed = deepcopy(document)
    found: Any = changed
    for step in place.split("/") if place else ():
        found = found[int(step)] if step.isdigit() else found[step]
    found["surplus"] = 1
    return changed
