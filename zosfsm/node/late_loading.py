"""Loads what a node does not need before it has an address. It takes long and blocks, so it is for a thread."""

from __future__ import annotations

from types import ModuleType

from zosfsm.kernel import netlink
from zosfsm.node.configuration import Configuration


def load_service(configuration: Configuration) -> ModuleType:
    """The module `service`, after and before what else is needed, in the order of need."""
    netlink.load()
    from zosfsm.node import reachability_edge, service

    reachability_edge.preload(configuration)
    return service
