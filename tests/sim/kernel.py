"""A kernel as plain data: namespaces, links, firewalls, WireGuard processes, and what of all that is somebody else's.

It outlives the node's process. Every call of the node's comes through `call`, where it may fail, hang or lie; what
calls there are, and what they mean, is in kernel_rooms.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, TypeVar

from attrs import define, field

from tests.sim.virtual_time import here
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.routes import Route
from zosfsm.kernel.wireguard import Peer

Answer = TypeVar("Answer")
Interface = IPv4Interface | IPv6Interface


class Outcome(Enum):
    """What becomes of one call, where it is not what was asked for."""

    FAILS = "it is not done, and that is said"
    FAILS_AFTERWARDS = "it is done, and said to have failed"
    FAILS_HALFWAY = "a part is done, and that it failed is said"
    LIES = "it is not done, and said to be"
    HANGS = "nothing happens for long, then it is done"
    HANGS_AND_FAILS = "nothing happens for long, and that it failed is said then"
    DIES_BEFORE = "the process is killed before it is done"
    DIES_HALFWAY = "the process is killed when a part is done"
    DIES_AFTER = "the process is killed when it is done"


@define(eq=False)
class Trap:
    """The next call of this name ("" is any) about this ("" is anything), after so many others, comes out so."""

    call: str
    outcome: Outcome
    about: str = ""
    skip: int = 0
    seconds: float = 0.0


@define(eq=False)
class SimLink:
    """A link; `master` is its bridge, `peer` the other half of a pair, `parent` what a macvlan is on."""

    index: int
    name: str
    kind: str
    place: SimNamespace = field(repr=False)
    group: int = 0
    mac: str = ""
    mtu: int = 1500
    up: bool = False
    mode: str = ""
    master: SimLink | None = field(default=None, repr=False)
    peer: SimLink | None = field(default=None, repr=False)
    parent: SimLink | None = field(default=None, repr=False)
    addresses: list[Interface] = field(factory=list)
    routes: list[Route] = field(factory=list)


@define(eq=False)
class SimNamespace:
    """A network namespace; `is_held`: somebody's process keeps it alive when its name is gone."""

    name: str | None
    inode: int
    links: dict[str, SimLink] = field(factory=dict)
    settings: dict[tuple[str, ...], str] = field(factory=dict)
    tables: dict[str, str] = field(factory=dict)
    generation: int = 1
    is_held: bool = False


@define(eq=False)
class SimDevice:
    """A WireGuard process and its socket; its tun link may be anywhere, its UDP port is in `underlay`."""

    name: str
    underlay: str | None
    link: SimLink | None
    pid: int
    is_ours: bool = True
    is_running: bool = True
    has_socket: bool = True
    private_key: str | None = None
    port: int = 0
    peers: dict[str, Peer] = field(factory=dict)


class SimKernel:
    """`foreign` is what others have made, as `whole` shows it.

    `seed` is of the order in which threads take their turns; with a `grain` of 0 each keeps its turn to the end."""

    def __init__(self, seed: int = 0, grain: float = 0.0) -> None:
        self.traps: list[Trap] = []
        self.weather: Callable[[str, str], Trap | None] | None = None
        self.hanging = 0
        self._random = random.Random(seed)
        self._grain = grain
        self._numbers = 1
        self.boot()

    def boot(self) -> None:
        """Power came back: there is the host, with a NIC and the bridge to it, and nothing else."""
        self.host = SimNamespace(None, self.number())
        self.namespaces: dict[str, SimNamespace] = {}
        self.nameless: list[SimNamespace] = []
        self.devices: dict[str, SimDevice] = {}
        self.foreign_ports: dict[int, str] = {}
        self.stale_names: set[str] = set()
        self.foreign: dict[str, object] = {}
        self.add_link(self.host, "lo", "")
        self.add_link(self.host, "zos", "bridge").up = True

    # What the node does

    def call(
        self,
        call: str,
        about: str,
        do: Callable[[], Answer],
        half: Callable[[], object] = lambda: None,
        torn: Callable[[], object] | None = None,
    ) -> Answer:
        """`half` is what may be done before it breaks off; `torn`, where it is more than that, before it is killed."""
        strand = here.strand
        if strand is None:
            return do()
        if strand.is_killed:
            strand.die()
        if self._grain and self._random.random() < self._grain:
            strand.pause(0.001)
        trap = self._trap(call, about)
        if trap is None:
            return do()
        if trap.outcome in (Outcome.HANGS, Outcome.HANGS_AND_FAILS):
            self._hang(trap.seconds)
        match trap.outcome:
            case Outcome.HANGS:
                return do()
            case Outcome.LIES:
                return None  # type: ignore[return-value]
            case Outcome.DIES_BEFORE:
                strand.die()
            case Outcome.DIES_HALFWAY:
                (torn or half)()
                strand.die()
            case Outcome.DIES_AFTER:
                do()
                strand.die()
            case Outcome.FAILS_AFTERWARDS:
                do()
            case Outcome.FAILS_HALFWAY:
                half()
        raise KernelError(f"{call} {about}", f"simulated: {trap.outcome.value}")

    def ask(self, call: str, about: str, do: Callable[[], Answer]) -> Answer:
        """A call that changes nothing: it may fail or hang, and what it says is so."""
        strand = here.strand
        if strand is None:
            return do()
        if strand.is_killed:
            strand.die()
        trap = self._trap(call, about)
        if trap is None:
            return do()
        match trap.outcome:
            case Outcome.HANGS | Outcome.HANGS_AND_FAILS:
                self._hang(trap.seconds)
            case Outcome.DIES_BEFORE | Outcome.DIES_HALFWAY | Outcome.DIES_AFTER:
                strand.die()
        if trap.outcome in (Outcome.HANGS, Outcome.LIES):
            return do()
        raise KernelError(f"{call} {about}", f"simulated: {trap.outcome.value}")

    def _trap(self, call: str, about: str) -> Trap | None:
        for trap in self.traps:
            if trap.call in ("", call) and trap.about in about:
                if trap.skip == 0:
                    self.traps.remove(trap)
                    return trap
                trap.skip -= 1
        return self.weather(call, about) if self.weather else None

    def _hang(self, seconds: float) -> None:
        assert here.strand is not None
        self.hanging += 1
        try:
            here.strand.pause(seconds)
        finally:
            self.hanging -= 1

    # What there is, for the rooms and for tests

    def number(self) -> int:
        """One that nothing has had before."""
        self._numbers += 1
        return self._numbers

    def everywhere(self) -> Iterator[SimNamespace]:
        """All namespaces, also those of which the name is gone."""
        yield self.host
        yield from self.namespaces.values()
        yield from self.nameless

    def add_link(self, place: SimNamespace, name: str, kind: str, group: int = 0) -> SimLink:
        """A new link, which is off."""
        assert name not in place.links, f"there are two links {name} in {place.name}"
        assert len(name.encode()) <= 15, f"a link's name has 15 bytes at most: {name}"
        index = self.number()
        link = SimLink(index, name, kind, place, group, mac=f"02:5e:00:00:{index >> 8 & 255:02x}:{index & 255:02x}")
        place.links[name] = link
        return link

    def remove_link(self, link: SimLink) -> None:
        """With all that cannot be without it, as the kernel does it."""
        if link.place.links.get(link.name) is not link:
            return
        del link.place.links[link.name]
        self._forget_settings(link)
        if link.peer is not None:
            self.remove_link(link.peer)
        for place in self.everywhere():
            for other in list(place.links.values()):
                if other.master is link:
                    other.master = None
                if other.parent is link:
                    self.remove_link(other)
        for device in list(self.devices.values()):
            if device.link is link:
                # A process whose link goes ends by itself, and clears up.
                device.link, device.is_running, device.has_socket = None, False, False
                del self.devices[device.name]

    def move_link(self, link: SimLink, place: SimNamespace) -> None:
        """It arrives off and without addresses."""
        del link.place.links[link.name]
        self._forget_settings(link)
        link.place, link.up, link.master = place, False, None
        link.addresses.clear()
        link.routes.clear()
        place.links[link.name] = link

    def remove_name(self, name: str) -> None:
        """Of a namespace; it goes with all that is in it, unless somebody holds it."""
        self.stale_names.discard(name)
        place = self.namespaces.pop(name, None)
        if place is None:
            return
        if place.is_held:
            self.nameless.append(place)
            return
        self.destroy(place)

    def destroy(self, place: SimNamespace) -> None:
        """The last user of a namespace is gone."""
        for link in list(place.links.values()):
            self.remove_link(link)
        if place in self.nameless:
            self.nameless.remove(place)

    def kill_device(self, device: SimDevice) -> None:
        """Somebody's SIGKILL: its link goes, its socket's file stays."""
        link, device.link, device.is_running = device.link, None, False
        if link is not None:
            self.remove_link(link)

    def port_holder(self, port: int, underlay: str | None) -> str | None:
        """Who has the UDP port."""
        if underlay is None and port in self.foreign_ports:
            return self.foreign_ports[port]
        bound = (one for one in self.devices.values() if one.link is not None and one.link.up)
        return next((one.name for one in bound if (one.port, one.underlay) == (port, underlay)), None)

    def _forget_settings(self, link: SimLink) -> None:
        for path in [one for one in link.place.settings if link.name in one]:
            del link.place.settings[path]


def whole(kernel: SimKernel) -> dict[str, Any]:
    """All of it in plain values, without what differs between two kernels in which the same was done."""
    found: dict[str, Any] = {}
    for place in kernel.everywhere():
        where = place.name or "host"
        if place in kernel.nameless:
            where = f"nameless {where}"
        for link in place.links.values():
            found[f"{where}/{link.name}"] = _link(link)
        if place is not kernel.host:
            settings = {path: value for path, value in place.settings.items() if value != "0"}
            found[where] = (settings, dict(place.tables))
    for path, value in kernel.host.settings.items():
        if value != "0":
            found[f"host/{path[-2]} {path[-1]}"] = value
    for device in kernel.devices.values():
        peers = {key: (set(one.allowed_ips), one.endpoint) for key, one in device.peers.items()}
        found[f"process {device.name}"] = (
            device.underlay,
            device.is_running,
            device.has_socket,
            device.private_key,
            device.port,
            peers,
        )
    for name in kernel.stale_names:
        found[f"stale {name}"] = True
    for port, owner in kernel.foreign_ports.items():
        found[f"port {port}"] = owner
    return found


def _link(link: SimLink) -> tuple[object, ...]:
    def named(other: SimLink | None) -> str:
        return f"{other.place.name or 'host'}/{other.name}" if other else ""

    return (
        link.kind,
        link.up,
        link.mtu,
        link.group,
        link.mode,
        named(link.master),
        named(link.peer),
        named(link.parent),
        sorted(map(str, link.addresses)),
        sorted(f"{one.destination} via {one.gateway}" for one in link.routes),
    )
