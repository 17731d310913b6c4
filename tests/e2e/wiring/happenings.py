"""Steps of a story that happen to the ground, or to the node from outside."""

from __future__ import annotations

import time

from attrs import frozen

from tests.e2e.wiring.networks import PLAIN_DHCP, Dnsmasq, Scripted
from tests.e2e.wiring.places import place_of
from tests.e2e.wiring.scene import Scene, Step


@frozen
class Pull(Step):
    """The NIC's cable is pulled."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.pull(place_of(self.nic))


@frozen
class Plug(Step):
    """The NIC's cable is plugged in."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.plug(place_of(self.nic))


@frozen
class Flap(Step):
    """The link goes up and down, and ends up."""

    nic: str
    times: int
    every_seconds: float = 0.2

    def play(self, scene: Scene) -> None:
        for _ in range(self.times):
            scene.ground.pull(place_of(self.nic))
            time.sleep(self.every_seconds)
            scene.ground.plug(place_of(self.nic))
            time.sleep(self.every_seconds)


@frozen
class Pass(Step):
    """Time passes."""

    seconds: float

    def play(self, scene: Scene) -> None:
        time.sleep(self.seconds)


@frozen
class GatewayDies(Step):
    """The router hears nothing more; the NIC keeps its carrier. `families` are those of nft."""

    nic: str
    families: str = "arp, ip, ip6"

    def play(self, scene: Scene) -> None:
        scene.ground.silence_router(place_of(self.nic), self.families)


@frozen
class GatewayHeals(Step):
    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.wake_router(place_of(self.nic))


@frozen
class UpstreamDies(Step):
    """The router behind the NIC has lost its own way out."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.cut_upstream(place_of(self.nic))


@frozen
class UpstreamHeals(Step):
    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.heal_upstream(place_of(self.nic))


@frozen
class GridGoes(Step):
    """The grid's process is away."""

    def play(self, scene: Scene) -> None:
        scene.ground.stop_grid()


@frozen
class GridComes(Step):
    def play(self, scene: Scene) -> None:
        scene.ground.start_grid()


@frozen
class DhcpGoes(Step):
    """The DHCP server behind the NIC is away."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.stop_dhcp(place_of(self.nic))


@frozen
class DhcpComes(Step):
    """This DHCP server begins to serve behind the NIC."""

    nic: str
    dhcp: Dnsmasq | Scripted = PLAIN_DHCP

    def play(self, scene: Scene) -> None:
        scene.ground.start_dhcp(place_of(self.nic), self.dhcp)


@frozen
class RouterResigns(Step):
    """radvd ends: the router says that it is no default gateway any more."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.stop_radvd(place_of(self.nic))


@frozen
class RouterAdvertises(Step):
    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.start_radvd(place_of(self.nic))


@frozen
class NicComes(Step):
    """A NIC is put into the running machine."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.add_nic(place_of(self.nic))


@frozen
class NicGoes(Step):
    """The NIC is taken out of the running machine."""

    nic: str

    def play(self, scene: Scene) -> None:
        scene.ground.remove_nic(place_of(self.nic))


@frozen
class Stops(Step):
    """The node's process is told to stop (SIGTERM), and leaves its network up."""

    def play(self, scene: Scene) -> None:
        scene.node.stop()


@frozen
class LosesPower(Step):
    """The machine loses its power: process and kernel forget, the disk does not."""

    def play(self, scene: Scene) -> None:
        scene.node.lose_power()


@frozen
class Starts(Step):
    """The node is started, again."""

    def play(self, scene: Scene) -> None:
        scene.node.start()
