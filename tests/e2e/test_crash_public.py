"""kill -9 of a node before and after every effect of its public interface's life, none left to luck.

Started again, the node has the interface that the farmer wished last, nothing else, and its network's packets flow.
The tests build on each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from attrs import frozen

from tests.e2e.crashing import death, effects_of, moments, mortal_nodes
from tests.e2e.farmer import FIRST, MOVED, Farmer, farmed, reason_of
from tests.e2e.small_farm import OWN_LINKS, OWN_NAMESPACES, NodeUnderTest, eventually
from tests.e2e.user import User
from zosfsm.lab.errors import LabError
from zosfsm.lab.node_process import tear_down_node
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

PORT = 5200
APPLY = ("ExaminePublic", "MakePublic", "VerifyPublic", "SwitchPublic", "ConfirmPublic", "LookAtNetworks")
LEAVE = ("LeavePublic", "RestorePublic")
FOLLOW = ("FollowPublic",)
END = ("RemovePublic",)


def test_every_effect_of_the_machine_is_in_a_list() -> None:
    assert {*APPLY, *LEAVE, *FOLLOW, *END} == effects_of("public")


@frozen
class Victim:
    """The node that dies, with one network on it."""

    farmer: Farmer
    network: str

    @property
    def node(self) -> NodeUnderTest:
        return self.farmer.node

    @property
    def stands(self) -> str:
        """The address that it has; "" where it has none."""
        return "".join(self.farmer.published(self.node))

    def other(self) -> tuple[tuple[str, ...], str]:
        """A configuration that does not stand, and its address."""
        return (MOVED, "192.0.2.6/24") if self.stands == "192.0.2.5/24" else (FIRST, "192.0.2.5/24")

    def becomes_public(self) -> str:
        """Where it is not; answers the address."""
        if not self.stands:
            self.farmer.becomes(self.node, "applied", *FIRST)
            self.is_public("192.0.2.5/24")
        return self.stands

    def is_public(self, address: str) -> None:
        """It has this address, the grid knows, and its network meets the internet there."""
        node = self.node
        node.wait(lambda states: states.get("public") == "applied" and address in reason_of(node), f"public: {address}")
        self._is_well(address)
        node.wait(lambda states: states.get("interface:eth0") == "claimed", "keeping the NIC from the uplink")
        addresses = node.run("ip", "-n", "public", "-o", "-4", "address", "show", "dev", "public")
        assert (addresses.count("inet"), address in addresses) == (1, True)
        eventually(lambda: f":{PORT} " in in_public(node, "ss", "-Hlun"), "the tunnel to be in public")
        assert node.namespaces() == OWN_NAMESPACES | {f"n-{self.network}", "public"}

    def is_hidden(self) -> None:
        """It has no public interface, and its network meets the internet in the node's own namespace."""
        node = self.node
        node.wait(lambda states: states.get("public") == "none", "without a public interface")
        self._is_well()
        node.wait(lambda states: states.get("interface:eth0") != "claimed", "free to use the NIC")
        eventually(lambda: node.open_ports() == (PORT,), "the tunnel to be in the node's own namespace")
        node.check_has_exactly({self.network: PORT})

    def _is_well(self, *addresses: str) -> None:
        node = self.node
        node.wait(lambda states: states.get("dmz") == "ready", "ready to let networks out")
        node.wait_active(self.network)
        eventually(lambda: self.farmer.published(node) == list(addresses), f"the grid to know {addresses}")
        assert node.links() == OWN_LINKS | {f"{kind}-{self.network}" for kind in "bl"} - (
            {"to-ndmz"} if addresses else set()
        )
        assert len(node.tunnels()) == 1


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with mortal_nodes(), farmed(tmp_path_factory.mktemp("public")) as farmer:
        farmer.farm.hidden.stop()
        user = User(farmer.farm)
        plan = user.plan("public", [NodeRequest(farmer.node.identifier, None, PORT)])
        user.apply(plan, farmer.node)
        farmer.node.wait_active(user.network(plan))
        yield Victim(farmer, user.network(plan))


@pytest.mark.parametrize(("moment", "effect"), moments(*APPLY))
def test_a_configuration_that_is_cut_off_is_applied(victim: Victim, moment: str, effect: str) -> None:
    """Each time from none, or to the address that does not stand."""
    words, address = victim.other()
    if victim.stands and effect == "LookAtNetworks":
        victim.farmer.becomes(victim.node, "none", "--off")
    with death(victim.node, moment, effect):
        assert victim.farmer.sets(victim.node, *words) == 0
    victim.farmer.starts()
    victim.is_public(address)


@pytest.mark.parametrize(("moment", "effect"), moments(*LEAVE, "LookAtNetworks"))
def test_an_interface_whose_end_is_cut_off_is_gone(victim: Victim, moment: str, effect: str) -> None:
    victim.becomes_public()
    with death(victim.node, moment, effect):
        assert victim.farmer.sets(victim.node, "--off") == 0
    victim.farmer.starts()
    victim.is_hidden()


@pytest.mark.parametrize(("moment", "effect"), moments(*FOLLOW))
def test_a_node_that_dies_when_it_begins_to_follow_follows_in_its_next_life(
    victim: Victim, moment: str, effect: str
) -> None:
    words, address = victim.other()
    victim.node.kill()
    with death(victim.node, moment, effect):
        assert victim.farmer.sets(victim.node, *words) == 0
        victim.farmer.starts()
    victim.farmer.starts()
    victim.is_public(address)


@pytest.mark.parametrize(("moment", "effect"), moments(*END))
def test_a_node_that_is_cut_off_while_it_ends_for_good_leaves_nothing_the_next_time(
    victim: Victim, moment: str, effect: str
) -> None:
    farm, node = victim.farmer.farm.farm, victim.node
    address = victim.becomes_public()
    node.stop()
    with death(node, moment, effect), pytest.raises(LabError, match="exited with -9"):
        tear_down_node(farm.place, node.node, farm.file)
    tear_down_node(farm.place, node.node, farm.file)
    assert (node.links(), node.namespaces(), node.tunnels()) == ({"lo", "eth0", "eth1", "eth2"}, set(), ())
    victim.farmer.starts()
    victim.is_public(address)


def in_public(node: NodeUnderTest, *words: str) -> str:
    return node.run("ip", "netns", "exec", "public", *words)
