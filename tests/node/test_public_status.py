"""What the status, its warnings and `zosfsm why` say of the public interface."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from attrs import evolve

from tests.node.driven_node import DrivenNode
from zosfsm.lifecycles.public_data import Ground, PublicWish

WISH = PublicWish(3, "eth1", None, ip_interface("203.0.113.5/24"), ip_address("203.0.113.1"))
TOLD = "version 3: 203.0.113.5/24 via 203.0.113.1 on eth1"


@pytest.fixture
def node(tmp_path: Path) -> DrivenNode:
    """With a public interface in use."""
    made = DrivenNode(tmp_path).comes_online()
    made.hears("public", "restored", None, "")
    made.hears("public", "configured", WISH, "")
    made.hears("public", "examined", Ground(False, "02:00:00:00:00:01"), "")
    for answer in ("made", "verified", "switched", "confirmed"):
        made.hears("public", answer, None, "")
    return made


def test_what_stands_is_told_whatever_was_heard_last(node: DrivenNode) -> None:
    machine = node.document["machines"]["public"]
    assert (machine["state"], machine["reason"]) == ("applied", TOLD)
    node.hears("public", "registered", None, "the grid knows the node")
    assert node.document["machines"]["public"]["reason"] == TOLD


def test_its_nic_says_why_it_is_no_candidate(node: DrivenNode) -> None:
    nic = next(nic for nic in node.document["interfaces"] if nic["name"] == "eth1")
    assert (nic["state"], nic["reason"]) == ("claimed", "it carries the public interface")


def test_a_refusal_is_a_warning_with_its_reason_and_what_to_do(node: DrivenNode) -> None:
    node.hears("public", "configured", evolve(WISH, version=4, gateway4=None), "")
    (warning,) = [each for each in node.document["warnings"] if each["code"] == "public-refused"]
    assert warning["sentence"] == (
        "public: version 4: 203.0.113.5/24 on eth1: expected a gateway for 203.0.113.5/24, found none; "
        "without one nobody outside is reached; configure it anew with `zosfsm node public`"
    )


def test_damage_is_a_warning_with_what_was_found(node: DrivenNode) -> None:
    node.hears("public", "differs", None, "no carrier")
    node.hears("public", "step_failed", None, "expected carrier on eth1, found none; plug its cable in")
    (warning,) = [each for each in node.document["warnings"] if each["code"] == "public-damaged"]
    assert warning["sentence"] == "public: expected carrier on eth1, found none; plug its cable in"
