"""A network that is changed while packets flow: whoever does not change loses none of them.

Three nodes: `public`, which both hidden ones dial, and which carries packets between these two. The tests are one story
and build on each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import define, evolve, field

from tests.e2e.flow import Flow
from tests.e2e.small_farm import NodeUnderTest, SmallFarm, eventually, small_farm
from tests.e2e.user import User
from zosfsm.cli.mesh_grid import make_keys
from zosfsm.grid.reservations import ResultState
from zosfsm.lab.probes import reachable_pairs
from zosfsm.lab.topology import FARM
from zosfsm.lab.workload import Workload
from zosfsm.mesh.plans import MeshPlan, NodeFacts, ResourcePlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e


@define
class Story:
    """A network, the version of it that is in place, and what the user sent for it so far."""

    farm: SmallFarm
    user: User
    plan: MeshPlan
    sent: dict[str, str] = field(factory=dict)

    @property
    def nodes(self) -> tuple[NodeUnderTest, ...]:
        return (*self.farm.nodes, *self.farm.others)

    @property
    def network(self) -> str:
        return self.user.network(self.plan)

    @property
    def tunnel(self) -> str:
        return f"w-{self.network}"

    def resource(self, node: NodeUnderTest) -> ResourcePlan:
        found = self.plan.resource(node.identifier)
        assert found is not None
        return found

    def becomes(self, *requests: NodeRequest, previous: MeshPlan | None = None) -> None:
        """The network over these nodes, planned anew; each real one of them says that it has it."""
        self.plan = self.user.plan("changes", requests, previous or self.plan)
        members = [node for node in self.nodes if self.plan.resource(node.identifier)]
        reservations = self.user.apply(self.plan, *members)
        for node in members:
            told = self.user.answer(reservations[node.node.name])
            assert (told.state, told.error) == (ResultState.OK, "")
            self.sent[f"{node.node.name} {len(self.sent)}"] = reservations[node.node.name]
        for node in members:
            node.wait_active(self.network)
            node.check_has_exactly({self.network: self.resource(node).listen_port})

    def with_another_key(self, node: NodeUnderTest) -> MeshPlan:
        """The version in place, as if the node had had a new key in it."""
        keys = make_keys("")
        return evolve(
            self.plan,
            resources=tuple(
                evolve(each, public_key=keys.public_key, private_key=keys.private_key)
                if each.node_id == node.identifier
                else each
                for each in self.plan.resources
            ),
        )

    def requests(self, *more: NodeRequest) -> tuple[NodeRequest, ...]:
        """The network over all real nodes, and these."""
        return (*(NodeRequest(node.identifier) for node in self.nodes), *more)

    def shown(self, node: NodeUnderTest, what: str) -> str:
        return node.run("wg", "show", self.tunnel, what)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """With a network over the first two nodes, `public` and `hidden`."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with small_farm(FARM) as farm:
        user = User(farm)
        requests = [NodeRequest(node.identifier) for node in farm.nodes]
        told = Story(farm, user, user.plan("changes", requests))
        told.becomes(*requests)
        yield told


@pytest.fixture(scope="module")
def pair(story: Story) -> tuple[Workload, Workload]:
    """One workload on `public`, one on `hidden`, that reach each other."""
    public, hidden = (story.farm.joined(node, story.network) for node in story.farm.nodes)
    assert len(reachable_pairs((public, hidden))) == 2
    return public, hidden


@pytest.fixture(scope="module")
def newcomer(story: Story, pair: tuple[Workload, Workload]) -> Workload:
    """The workload on the third node, once that is a peer, too."""
    (third,) = story.farm.others
    made = story.farm.joined(third, story.network)
    assert len(reachable_pairs((*pair, made))) == 6
    return made


def test_a_peer_that_is_added_costs_no_packet(story: Story, pair: tuple[Workload, Workload]) -> None:
    tunnels = [node.tunnels() for node in story.farm.nodes]
    with Flow(*pair) as flow:
        story.becomes(*story.requests())
    check_lossless(flow)
    assert [node.tunnels() for node in story.farm.nodes] == tunnels


def test_an_endpoint_that_moves_costs_no_packet_of_the_others(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    """The peer that moves is one that does not exist: its endpoint is where the plan says, not where it calls from."""
    far = NodeRequest(story.user.third.identifier, IPv4Network("10.1.9.0/24"), 6000)
    story.becomes(*story.requests(far))
    assert "198.51.100.77:6000" in story.shown(story.farm.public, "endpoints")
    story.user = evolve(story.user, third=NodeFacts(far.identifier, (IPv4Address("198.51.100.78"),)))
    with Flow(*pair) as flow, Flow(newcomer, pair[0]) as other:
        story.becomes(*story.requests(evolve(far, port=6001)))
    check_lossless(flow, other)
    for node in story.nodes:
        assert "198.51.100.78:6001" in story.shown(node, "endpoints")


def test_routes_that_are_added_or_change_cost_no_packet(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    """Of the peer, too, that has them: what it had stays its own all the time."""
    far = NodeRequest(story.user.third.identifier, IPv4Network("10.1.10.0/24"), 6001)
    with Flow(*pair) as flow, Flow(newcomer, pair[1]) as relayed:
        story.becomes(*story.requests(far))
    check_lossless(flow, relayed)
    routes = story.farm.hidden.run("ip", "-n", f"n-{story.network}", "route")
    assert ("10.1.10.0/24" in routes, "10.1.9.0/24" in routes) == (True, False)


def test_a_peer_that_is_removed_costs_no_packet(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    with Flow(*pair) as flow, Flow(newcomer, pair[1]) as relayed:
        story.becomes(*story.requests())
    check_lossless(flow, relayed)
    assert "198.51.100.78" not in story.shown(story.farm.public, "endpoints")


def test_a_peer_with_a_new_key_costs_the_others_no_packet(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    (third,) = story.farm.others
    before = story.resource(third).public_key
    with Flow(*pair) as flow, Flow(newcomer, pair[0]) as changed:
        story.becomes(*story.requests(), previous=story.with_another_key(third))
        eventually(lambda: len(reachable_pairs((pair[0], newcomer))) == 2, "the peer with the new key to be back")
    check_lossless(flow)
    tell("the peer whose key is new", changed)
    assert before not in story.shown(story.farm.public, "peers")
    assert story.shown(third, "public-key").strip() == story.resource(third).public_key != before


def test_a_hidden_node_that_changes_its_port_costs_the_others_no_packet(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    """It dials, so nobody has its port: its peer learns the new one from the next packet."""
    (third,) = story.farm.others
    tunnels = third.tunnels()
    requests = [*(NodeRequest(node.identifier) for node in story.farm.nodes), NodeRequest(third.identifier, None, 6100)]
    with Flow(*pair) as flow, Flow(newcomer, pair[0]) as changed:
        story.becomes(*requests)
        assert len(reachable_pairs((pair[0], newcomer))) == 2
    check_lossless(flow)
    tell("the node whose port is new", changed)
    assert (third.open_ports(), third.tunnels()) == ((6100,), tunnels)


def test_a_public_node_that_changes_its_port_is_found_again(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    """All others dial it, so what they send until they have the new version too is lost; nobody shakes hands anew."""
    public = story.farm.public
    old = story.resource(public).listen_port
    requests = [NodeRequest(public.identifier, None, 6200), *story.requests()[1:]]
    with Flow(*pair) as flow, Flow(newcomer, pair[1]) as relayed:
        story.becomes(*requests)
        assert len(reachable_pairs((*pair, newcomer))) == 6
    tell("who dials the node whose port is new", flow, relayed)
    assert (public.open_ports(), old != 6200) == ((6200,), True)
    for node in story.nodes[1:]:
        assert ":6200" in story.shown(node, "endpoints")


def test_a_node_with_a_new_key_of_its_own_is_found_again(
    story: Story, pair: tuple[Workload, Workload], newcomer: Workload
) -> None:
    """Its sessions end with its key: what is sent waits, a second's worth or so, until its peers know the new one."""
    before, tunnels = story.resource(story.farm.public).public_key, story.farm.public.tunnels()
    with Flow(*pair) as flow, Flow(newcomer, pair[1]) as relayed:
        story.becomes(*story.requests(), previous=story.with_another_key(story.farm.public))
        assert len(reachable_pairs((*pair, newcomer))) == 6
    tell("who meets the node with the new key", flow, relayed)
    assert story.farm.public.tunnels() == tunnels
    after = story.resource(story.farm.public).public_key
    assert before != after == story.shown(story.farm.public, "public-key").strip()
    assert before not in story.shown(story.farm.hidden, "peers")


def test_nothing_is_left_of_any_version(story: Story) -> None:
    story.user.delete(story.sent)
    story.user.wait_deleted(story.sent)
    for node in story.nodes:
        node.wait_registered()
        node.check_has_exactly({})


def check_lossless(*flows: Flow) -> None:
    for flow in flows:
        assert flow.sent > 5
        assert flow.lost == set()


def tell(who: str, *flows: Flow) -> None:
    """What it cost where it costs something: the packets that came last were answered."""
    for flow in flows:
        print(f"{who} lost {len(flow.lost)} of {flow.sent} packets")
        assert flow.sent - 3 not in flow.lost
