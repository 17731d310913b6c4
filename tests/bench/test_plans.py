"""The networks that are built are all different, and such that a node takes them."""

from __future__ import annotations

from bench.plans import MOST_PLANS, PEERS, plan
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
