"""A farmer who configures public interfaces: on his farm a hidden node has a second cable that leads to the internet.

node2 ---- eth2: 192.168.1.0/24 -- router1 (NAT) -- internet        its uplink
  +------- eth0: 192.0.2.0/24 ------------------------- internet    where it becomes public
node3 ---- eth2: 192.168.2.0/24 -- router2 (NAT) -- internet
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen

from tests.e2e.small_farm import NodeUnderTest, SmallFarm, small_farm
from zosfsm.cli.main import main
from zosfsm.kernel.namespaces import entered
from zosfsm.lab.topology import FARM, INTERNET, OUTSIDE, STORAGE

FIRST = ("--master", "eth0", "--ipv4", "192.0.2.5/24", "--gw4", "192.0.2.1")
WITH_IPV6 = (*FIRST, "--ipv6", "2001:db8:2::5/64", "--gw6", "2001:db8:2::1")
MOVED = ("--master", "eth0", "--ipv4", "192.0.2.6/24", "--gw4", "192.0.2.1")
ON_THE_UPLINK = ("--master", "eth2", "--ipv4", "192.168.2.50/24", "--gw4", "192.168.2.1")

_TOPOLOGY = evolve(FARM, nodes=FARM.nodes[1:])


@frozen
class Farmer:
    """Somewhere on the internet. `options` are those with which the nodes were started."""

    farm: SmallFarm
    options: tuple[str, ...]

    @property
    def node(self) -> NodeUnderTest:
        """The one with two cables."""
        return self.farm.public

    def sets(self, node: NodeUnderTest, *words: str) -> int:
        """The exit code of `zosfsm node public`."""
        with entered(self.farm.farm.place.namespace(OUTSIDE)):
            return main(["node", "public", node.identifier, *words, "--grid", self.farm.farm.topology.grid_url])

    def becomes(self, node: NodeUnderTest, state: str, *words: str) -> str:
        """What the machine says once it has dealt with that configuration."""
        before = visit(node)
        assert self.sets(node, *words) == 0
        node.wait(lambda states: states.get("public") == state and visit(node) != before, f"public: {state}")
        return reason_of(node)

    def published(self, node: NodeUnderTest) -> list[str]:
        """The addresses of the public interface that the grid knows of."""
        found = self.farm.database.node(node.identifier)
        assert found is not None
        return [str(address) for interface in found.ifaces if interface.name == "public" for address in interface.addrs]

    def starts(self, *more: str) -> None:
        """The node with two cables, again."""
        self.node.start(*self.options, *more)


@contextmanager
def farmed(directory: Path) -> Iterator[Farmer]:
    """A farm whose nodes follow the farmer within a second; the second cable is plugged in."""
    file = directory / "zosfsm.toml"
    file.write_text('[public]\nrecheck = "1 s"\n', encoding="utf-8")
    options = ("--config", str(file))
    with small_farm(_TOPOLOGY, options) as farm:
        _plug_public_segment(farm)
        yield Farmer(farm, options)


def visit(node: NodeUnderTest) -> tuple[str | None, str | None]:
    """Of the machine `public`; another one once it has changed its state."""
    machine = node.document().get("machines", {}).get("public", {})
    return machine.get("since"), machine.get("state")


def reason_of(node: NodeUnderTest) -> str:
    """What the machine `public` says of its state."""
    return str(node.document()["machines"]["public"]["reason"])


def _plug_public_segment(farm: SmallFarm) -> None:
    """The NIC that has no cable leads to a router of the internet now, where another host has 192.0.2.77."""
    place, link = farm.farm.place, farm.public.node.unplugged_link
    internet = place.namespace(INTERNET)
    for words in (
        f"ip -n {place.namespace(STORAGE)} link set {link} netns {internet}",
        f"ip -n {internet} address add 192.0.2.1/24 dev {link}",
        f"ip -n {internet} address add 192.0.2.77/24 dev {link}",
        f"ip -n {internet} address add 2001:db8:2::1/64 dev {link} nodad",
        f"ip -n {internet} link set {link} up",
    ):
        subprocess.run(words.split(), check=True)
