"""From the grid's words to facts: nothing is refused here, nothing raises, and nothing is believed unseen."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.identity import Identity, seal_to
from zosfsm.grid.network import network_identifier
from zosfsm.grid.reservations import Poll, Reservation, ReservationType, Unreadable
from zosfsm.grid.signing import sign_reservation
from zosfsm.lifecycles.polling import Request
from zosfsm.lifecycles.resource import DeleteAsked, ReservationFacts
from zosfsm.node.intake import polled, request_of

NODE = Identity.from_seed(b"n" * 32)
USER = Identity.from_seed(b"u" * 32)
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
KEYS = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]


def document(**changes: object) -> dict[str, object]:
    resource = {
        "node_id": NODE.identifier,
        "subnet": "10.1.1.0/24",
        "wg_private_key": seal_to(NODE.identifier, KEYS[0]),
        "wg_public_key": KEYS[0],
        "wg_listen_port": 3000,
        "peers": [
            {
                "subnet": "10.1.2.0/24",
                "wg_public_key": KEYS[1],
                "allowed_ips": ["10.1.2.0/24", "100.64.1.2/32"],
                "endpoint": "203.0.113.9:3001",
            }
        ],
    }
    return {"name": "net", "ip_range": "10.1.0.0/16", "net_resources": [resource], **changes}


def reservation(data: object, **changes: object) -> Reservation:
    made = Reservation(
        NODE.identifier, USER.identifier, ReservationType.NETWORK, NOON, timedelta(hours=1), json.dumps(data), "12-1"
    )
    return sign_reservation(evolve(made, **changes), USER)


def asked_for(request: Request) -> ReservationFacts:
    assert isinstance(request.wish, ReservationFacts)
    return request.wish


def test_a_network_becomes_facts_under_the_identifier_that_all_nodes_give_it() -> None:
    asked = request_of(reservation(document()), NODE.identifier)
    identifier = network_identifier(USER.identifier, "net")
    assert asked.resource == identifier
    facts = asked_for(asked)
    assert facts.network is not None
    assert (facts.signature_holds, facts.problem, facts.expiry) == (True, "", NOON + timedelta(hours=1))
    assert facts.network.identifier == identifier
    assert facts.network.subnet == IPv4Network("10.1.1.0/24")
    assert facts.network.peers[0].endpoint is not None
    assert facts.network.peers[0].endpoint[1] == 3001


def test_routes_that_an_earlier_peer_has_are_told_apart_as_fallback() -> None:
    doubled: Any = document()
    (peer,) = doubled["net_resources"][0]["peers"]
    relay = {**peer, "subnet": "10.1.3.0/24", "wg_public_key": base64.b64encode(b"r" * 32).decode()}
    doubled["net_resources"][0]["peers"] = [peer, relay]
    facts = asked_for(request_of(reservation(doubled), NODE.identifier))
    assert facts.network is not None
    first, second = facts.network.peers
    assert (first.fallback_ips, second.allowed_ips, second.fallback_ips) == ((), (), first.allowed_ips)


def test_a_reservation_that_somebody_changed_after_it_was_signed_is_a_fact_too() -> None:
    changed = evolve(reservation(document()), data=json.dumps(document(ip_range="10.0.0.0/8")))
    assert not asked_for(request_of(changed, NODE.identifier)).signature_holds


def test_another_type_is_a_fact_without_a_network() -> None:
    asked = request_of(reservation({}, type=ReservationType.CONTAINER), NODE.identifier)
    assert asked.resource == "r-12-1"
    assert (asked_for(asked).workload, asked_for(asked).network) == ("container", None)


def test_a_network_without_a_part_for_this_node_says_so() -> None:
    asked = request_of(reservation(document()), USER.identifier)
    assert asked.resource == "r-12-1"
    assert "one entry for node" in asked_for(asked).problem


def test_a_field_that_cannot_be_read_is_a_problem_with_its_path() -> None:
    asked = request_of(reservation(document(ip_range="everything")), NODE.identifier)
    assert asked_for(asked).problem.startswith("ip_range: expected")
    assert asked_for(asked).network is None


def test_what_is_to_be_deleted_is_asked_of_the_network_that_it_made() -> None:
    asked = request_of(reservation(document(), to_delete=True), NODE.identifier)
    assert asked.resource == network_identifier(USER.identifier, "net")
    assert asked.wish == DeleteAsked("12-1", "network")


def test_what_is_to_be_deleted_and_cannot_be_read_is_asked_under_its_own_number() -> None:
    assert request_of(reservation("gone", to_delete=True), NODE.identifier).resource == "r-12-1"


def test_an_answer_keeps_its_order_and_its_unreadable_parts_that_have_a_number() -> None:
    poll = Poll((reservation(document()),), (Unreadable("13-1", "user_id: expected text"), Unreadable("", "no id")))
    answer = polled(poll, NODE.identifier)
    assert answer.cursor == 14
    assert [one.resource for one in answer.requests] == [network_identifier(USER.identifier, "net"), "r-13-1"]
    assert asked_for(answer.requests[1]).problem == "user_id: expected text"


def test_an_empty_answer_asks_for_nothing() -> None:
    answer = polled(Poll(()), NODE.identifier)
    assert (answer.cursor, answer.requests) == (0, ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["name", "ip_range", "net_resources"])


@given(st.dictionaries(FIELDS, JSON))
def test_no_network_document_raises(changes: dict[str, object]) -> None:
    assert asked_for(request_of(reservation(document(**changes)), NODE.identifier)).workload == "network"


@given(
    st.dictionaries(
        st.sampled_from(["node_id", "user_id", "type", "created", "duration", "id", "signature", "to_delete", "data"]),
        JSON,
        max_size=3,
    )
)
def test_no_answer_of_the_grid_raises(changes: dict[str, object]) -> None:
    good = json.loads(reservation(document()).to_text())
    polled(Poll.from_text(json.dumps([{**good, **changes}])), NODE.identifier)


@given(st.integers(), st.integers())
def test_no_time_and_no_duration_raises(created: int, duration: int) -> None:
    good = json.loads(reservation(document()).to_text())
    polled(Poll.from_text(json.dumps([{**good, "created": created, "duration": duration}])), NODE.identifier)
