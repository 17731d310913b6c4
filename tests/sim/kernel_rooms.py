"""Puts the simulated kernel in the place of zosfsm/kernel's modules, wherever the node has imported them.

Nothing real is touched: what has no stand-in and would come to the real kernel raises.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.sim import kernel_firewall, kernel_namespaces, kernel_wireguard
from tests.sim.kernel_in_use import in_use
from tests.sim.kernel_links import SimLinks
from tests.sim.virtual_time import SimLock, here
from zosfsm.kernel import (
    fingerprint,
    firewall,
    namespaces,
    ownership,
    sysctl,
    tunnel_processes,
    udp_ports,
    wireguard_backend,
    wireguard_userspace,
)
from zosfsm.kernel.links import Links

# By module, the names of those that have a stand-in of the same name.
_NAMESAKES = (
    (namespaces, kernel_namespaces, ("create", "delete", "exists", "names", "is_ours", "entered")),
    (sysctl, kernel_namespaces, ("read", "values", "write", "is_offered")),
    (ownership, kernel_namespaces, ("namespace_is_marked",)),
    (firewall, kernel_firewall, ("apply", "current", "matches", "ensure", "remove")),
    (fingerprint, kernel_firewall, ("fingerprint",)),
    (udp_ports, kernel_wireguard, ("is_bound",)),
    (wireguard_userspace, kernel_wireguard, ("answering", "sockets", "end_process", "remove_socket_of_nobody")),
    (tunnel_processes, kernel_wireguard, ("running",)),
)


@contextmanager
def simulated() -> Iterator[None]:
    """As long as the body runs, the node's modules know no other kernel than `in_use.kernel`."""
    stand_ins = {id(real): stand_in for real, stand_in in _stand_ins()}
    replaced: list[tuple[Any, str, Any]] = []
    for module in [one for name, one in sys.modules.items() if name.startswith(("zosfsm.kernel.", "zosfsm.node."))]:
        for name, value in list(vars(module).items()):
            if id(value) in stand_ins:
                replaced.append((module, name, value))
                setattr(module, name, stand_ins[id(value)])
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def _sleep(seconds: float) -> None:
    assert here.strand is not None, "the loop itself would sleep"
    here.strand.pause(seconds)


def _untouchable(*_arguments: object, **_named: object) -> Any:
    raise AssertionError("a simulated node came to the real kernel")


class _Without:
    """A module in which some names mean something else."""

    def __init__(self, module: Any, **others: Any) -> None:
        self._module, self._others = module, others

    def __getattr__(self, name: str) -> Any:
        return self._others[name] if name in self._others else getattr(self._module, name)


def _stand_ins() -> Iterator[tuple[Any, Any]]:
    for room, stand_ins, names in _NAMESAKES:
        yield from ((getattr(room, name), getattr(stand_ins, name)) for name in names)
    yield Links, SimLinks
    yield wireguard_backend.offered, kernel_wireguard.SimWireGuard
    yield namespaces.open_handle, _untouchable
    yield ownership.mark_namespace, _untouchable
    yield os, _Without(os, open=_untouchable)
    yield socket, _Without(socket, socket=_untouchable, socketpair=_untouchable)
    yield subprocess, _Without(subprocess, Popen=_untouchable, run=_untouchable)
    yield threading, _Without(threading, Lock=SimLock, RLock=SimLock)
    yield time, _Without(time, monotonic=lambda: in_use.moment(), sleep=_sleep)
