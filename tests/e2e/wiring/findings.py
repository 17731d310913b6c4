"""Steps of a story that must come true of the node, and are waited for."""

from __future__ import annotations

from attrs import frozen

from tests.e2e.wiring.node import Node
from tests.e2e.wiring.patterns import says
from tests.e2e.wiring.places import GRID_IPV4, GRID_IPV6, place_of
from tests.e2e.wiring.scene import Scene, Step


@frozen
class Online(Step):
    """The node is online through this NIC, or one of these, and its kernel says the same: the NIC alone is in the
    bridge, the bridge has an address of each family, and no other NIC has any.

    `families`: those that are proven, as `ipv4 ipv6`; `host`: the number of its IPv4 address, where the story knows it.
    """

    through: str
    families: str = "ipv4"
    host: int | None = None
    router: int = 1
    says: str = ""

    def play(self, scene: Scene) -> None:
        nics = self.through.split()
        scene.until(self, lambda: any(self._is_so(scene.node, nic) for nic in nics))
        if self.says:
            scene.until(self, lambda: says(self.says, scene.node.why()))

    def _is_so(self, node: Node, nic: str) -> bool:
        if node.state("connectivity") != "online" or node.state(f"interface:{nic}") != "selected":
            return False
        if any(node.state(f"path:{nic}/{family}") != "proven" for family in self.families.split()):
            return False
        return self._is_in_the_kernel(node, nic)

    def _is_in_the_kernel(self, node: Node, nic: str) -> bool:
        if node.ports() != [nic] or any(node.addresses(each) for each in node.nics()):
            return False
        found = node.addresses("zos")
        kinds = {"ipv6" if ":" in address else "ipv4" for address in found}
        if not kinds >= set(self.families.split()):
            return False
        place = place_of(nic)
        if self.host is not None and str(place.host(self.host)) not in found:
            return False
        return "ipv4" not in self.families.split() or str(place.host(self.router).ip) in node.gateways()


@frozen
class Found(Step):
    """The node finds itself in this situation, and says so: that machine's state, that warning, that `zosfsm why`.

    `situation` is the situation's name in the README's table, whose row it proves; "" for one that has no row.
    """

    state: str
    why: str
    warning: str = ""
    situation: str = ""

    def play(self, scene: Scene) -> None:
        scene.until(self, lambda: self._is_so(scene.node))

    @property
    def machine(self) -> str:
        return self.state.partition(" ")[0].rstrip(":")

    def _is_so(self, node: Node) -> bool:
        if node.state(self.machine) != self.state.partition(" ")[2]:
            return False
        return (not self.warning or self.warning in node.warnings()) and says(self.why, node.why())


@frozen
class Heard(Step):
    """The DHCP servers behind this NIC have heard so many of these (`DISCOVER`) from it, at least and at most."""

    nic: str
    kind: str
    least: int
    most: int

    def play(self, scene: Scene) -> None:
        scene.until(self, lambda: self._count(scene) >= self.least)
        assert self._count(scene) <= self.most, f"{self}: {self._count(scene)} were heard\n{scene.told()}"

    def _count(self, scene: Scene) -> int:
        return scene.ground.dhcp_heard(place_of(self.nic), self.kind)


@frozen
class In(Step):
    """That machine comes into one of these states: `In("lease:eth0", "renewing bound")`."""

    machine: str
    states: str

    def play(self, scene: Scene) -> None:
        scene.until(self, lambda: scene.node.state(self.machine) in self.states.split())


_USER = """
ip link show br-ndmz >/dev/null || exit 1
ip netns exec user true 2>/dev/null && exit 0
ip netns add user && ip link add public link br-ndmz netns user type macvlan mode private
ip -n user link set public up && ip -n user address add 100.127.77.77/16 dev public
ip -n user address add fd00::77/64 dev public nodad && ip -n user route add default via 100.127.0.1
ip -n user route add default via fe80::1 dev public
"""


@frozen
class UsersReach(Step):
    """The DMZ is ready, and users' networks reach the internet by these families (as `ipv4 ipv6`) and by no other."""

    families: str

    def play(self, scene: Scene) -> None:
        scene.until(self, lambda: scene.node.state("dmz") == "ready" and scene.ground.machine.succeeds(_USER))
        scene.until(self, lambda: self._reached(scene) == set(self.families.split()))

    @staticmethod
    def _reached(scene: Scene) -> set[str]:
        ways = {"ipv4": GRID_IPV4, "ipv6": GRID_IPV6}
        return {family for family, address in ways.items() if scene.ground.machine.succeeds(_pinged("user", address))}


@frozen
class UsersDoNotReach(Step):
    """Whom the DMZ reaches and users' networks do not: the node, and the router behind this NIC."""

    nic: str

    def play(self, scene: Scene) -> None:
        place, node = place_of(self.nic), scene.node
        targets = [str(place.router), str(place.router_ipv6), *(each.split("/")[0] for each in node.addresses("zos"))]
        there = [target for target in targets if scene.ground.machine.succeeds(_pinged("ndmz", target))]
        assert there, f"the DMZ reaches none of {targets}\n{scene.told()}"
        for target in targets:
            assert not scene.ground.machine.succeeds(_pinged("user", target)), f"users reach {target}\n{scene.told()}"


def _pinged(namespace: str, address: object) -> str:
    return f"ip netns exec {namespace} ping -q -c 1 -W 0.5 {address}"
