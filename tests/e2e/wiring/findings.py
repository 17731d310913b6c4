"""Steps of a story that must come true of the node, and are waited for."""

from __future__ import annotations

from attrs import frozen

from tests.e2e.wiring.node import Node
from tests.e2e.wiring.patterns import says
from tests.e2e.wiring.places import place_of
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
