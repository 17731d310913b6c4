"""The networks that are built are all different, and such that a node takes them."""

from __future__ import annotations

from bench.plans import MOST_PEERS, MOST_PLANS, PEERS, crowded, plan, updated
from zosfsm.kernel.rulesets import WIREGUARD_PORTS
from zosfsm.kernel.wireguard import Device, difference

PLANS = [plan(number) for number in range(MOST_PLANS)]


def test_no_two_networks_share_an_identifier_port_key_or_address() -> None:
    for values in (
        {each.identifier for each in PLANS},
        {each.listen_port for each in PLANS},
        {each.private_key for each in PLANS},
        {each.dmz_address for each in PLANS},
        {peer.public_key for each in PLANS for peer in each.peers},
    ):
        assert len(values) in (MOST_PLANS, MOST_PLANS * PEERS)


def test_every_port_is_one_that_a_user_may_choose() -> None:
    first, last = WIREGUARD_PORTS
    assert all(first <= each.listen_port <= last for each in PLANS)


def test_wireguard_takes_every_plan() -> None:
    for each in PLANS:
        changes = difference(Device(None, 0, ()), each.private_key, each.listen_port, each.peers)
        assert len(changes.added) == PEERS


def test_the_next_version_of_a_network_has_one_peer_more_and_is_else_the_same() -> None:
    for before in (PLANS[0], PLANS[-1]):
        after = updated(before)
        assert after.peers[: len(before.peers)] == before.peers
        assert len(after.peers) == PEERS + 1
        assert (after.identifier, after.listen_port) == (before.identifier, before.listen_port)


def test_a_crowd_is_one_network_of_as_many_peers_as_were_asked_for() -> None:
    found = crowded(MOST_PEERS)
    changes = difference(Device(None, 0, ()), found.private_key, found.listen_port, found.peers)
    assert len(changes.added) == MOST_PEERS
