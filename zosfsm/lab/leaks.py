"""What a node still has of networks that nobody wants: namespaces, links, processes and ports. It only looks."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve, frozen

from zosfsm.kernel.links import Link, Links
from zosfsm.kernel.tunnel_processes import running
from zosfsm.lab.errors import LabError
from zosfsm.lab.node_process import inside, living_holder
from zosfsm.lab.place import Place
from zosfsm.lab.processes import inhabitants
from zosfsm.lab.services import ask_grid
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import STORAGE_NIC, UNPLUGGED_NIC, UPLINK_NIC, LabNode, Topology

# What users may pick for WireGuard.
USER_PORTS = range(2000, 8001)

_RESOURCE_LINKS = ("b-", "l-", "w-", "n-", "v-", "t-")
_NICS = {UNPLUGGED_NIC, STORAGE_NIC, UPLINK_NIC, "lo"}
_UDP_PORTLESS_STATE = "07"  # TCP_CLOSE: what an unconnected UDP socket is in (proc_net_udp).
_TCP_LISTENING_STATE = "0A"


@frozen
class Leaks:
    """How many of each are there that should not be."""

    namespaces: int = 0
    links: int = 0
    processes: int = 0
    ports: int = 0

    def __add__(self, other: Leaks) -> Leaks:
        return evolve(
            self,
            namespaces=self.namespaces + other.namespaces,
            links=self.links + other.links,
            processes=self.processes + other.processes,
            ports=self.ports + other.ports,
        )

    def __bool__(self) -> bool:
        return any((self.namespaces, self.links, self.processes, self.ports))


def after_deletion(place: Place, topology: Topology, node: LabNode, file: StateFile, node_id: str) -> Leaks:
    """What the node has left of a deleted network, the ports that the grid still lists for it among it."""
    return Leaks(
        namespaces=len([name for name in namespaces_of(node, file) if name.startswith(("n-", "c-"))]),
        links=len([link for link in links_of(place, node) if link.name.startswith(_RESOURCE_LINKS)]),
        processes=len(tunnel_processes(place, node)),
        ports=len(open_tunnel_ports(node, file)) + len(published_ports(place, topology, node_id)),
    )


def after_teardown(place: Place, node: LabNode, file: StateFile) -> Leaks:
    """What the node has left of anything at all once it took itself down: its NICs are all that may be there."""
    links = [link for link in links_of(place, node) if link.name not in _NICS or link.master is not None]
    return Leaks(
        namespaces=len(namespaces_of(node, file)),
        links=len(links),
        processes=len(tunnel_processes(place, node)),
        ports=len(open_tunnel_ports(node, file)),
    )


def namespaces_of(node: LabNode, file: StateFile) -> tuple[str, ...]:
    """The names in the node's own /run/netns."""
    return tuple(sorted(entry.name for entry in inside(node, file, "/run/netns").iterdir()))


def links_of(place: Place, node: LabNode) -> tuple[Link, ...]:
    """The links in the node's own network namespace."""
    with Links(place.namespace(node.name)) as links:
        return links.all()


def tunnel_processes(place: Place, node: LabNode) -> tuple[int, ...]:
    """The pids of wireguard-go processes that live in the node's network namespace, or were started from there."""
    status = place.namespace_file(node.name).stat()
    inside = {process.pid for process in inhabitants([(status.st_dev, status.st_ino)])}
    # One that was born in the public namespace lives there.
    started = {process.pid for process in running(home=place.namespace_file(node.name))}
    return tuple(sorted({pid for pid in inside if _program(pid) == "wireguard-go"} | started))


def open_tunnel_ports(node: LabNode, file: StateFile) -> tuple[int, ...]:
    """The UDP ports among the users' on which something listens in the node's network namespace."""
    ports = _local_ports(node, file, ("udp", "udp6"), _UDP_PORTLESS_STATE)
    return tuple(sorted(ports & set(USER_PORTS)))


def open_doors(node: LabNode, file: StateFile) -> tuple[int, ...]:
    """The TCP ports on which something listens in the node's network namespace; there should be none."""
    return tuple(sorted(_local_ports(node, file, ("tcp", "tcp6"), _TCP_LISTENING_STATE)))


def published_ports(place: Place, topology: Topology, node_id: str) -> tuple[int, ...]:
    """The WireGuard ports that the grid lists for the node."""
    document = ask_grid(place, topology, f"/nodes/{node_id}")
    try:
        return tuple(int(port) for port in document["wg_ports"] or ())
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"expected the grid to know the ports of the node {node_id}, found {document!r:.200}") from error


def _local_ports(node: LabNode, file: StateFile, tables: tuple[str, ...], state: str) -> set[int]:
    directory = Path(f"/proc/{living_holder(node, file).pid}/net")
    ports = set()
    for table in tables:
        for line in (directory / table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return Path(os.fsdecode(words[0])).name
