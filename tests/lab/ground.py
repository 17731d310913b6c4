"""A lab without grid and without nodes' processes: everything that can be tested without a node."""

from __future__ import annotations

from attrs import frozen

from zosfsm.lab.node_process import isolate
from zosfsm.lab.place import Place
from zosfsm.lab.services import start_dhcp_servers, start_target
from zosfsm.lab.state import StateFile
from zosfsm.lab.topology import FARM, LabNode


@frozen
class Ground:
    """Namespaces, cables, routes and NAT, and the note of them."""

    place: Place
    file: StateFile

    def isolated(self, name: str) -> LabNode:
        """The node `name`, with its own mount namespace."""
        node = FARM.node(name)
        assert node is not None
        isolate(self.place, node, self.file)
        return node

    def serve(self) -> None:
        """Start the DHCP servers and the web server."""
        start_dhcp_servers(self.place, FARM, self.file)
        start_target(self.place, FARM, self.file)
