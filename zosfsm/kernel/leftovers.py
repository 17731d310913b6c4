"""The census of what a node has made in the kernel: namespaces, links, WireGuard processes and their sockets.

What is ours is decided by a mark that it has from the moment at which it comes to be, and its name only says whose it
is. Both are needed:

- a link in the node's own namespace: our link group (ownership.py), and `zos`, `br-ndmz`, `to-ndmz`, b-ID, l-ID, w-ID,
  t-ID (ID: a network identifier) or v- and 13 characters of base32;
- a namespace: our group on its `lo`, and `ndmz`, `public`, n-ID or c-ID-NAME;
- a process: the arguments `wireguard-go -f w-ID` and the mark of our network namespace in its environment
  (tunnel_processes.py);
- a socket cannot be marked: it is taken for ours where it is called w-ID.sock with an identifier as the grid makes them
  (13 characters of base58) and nobody listens on it.

So an engineer's b-test, his namespace n-test and his own wireguard-go are none of it. This file wants nothing: what of
it goes is decided elsewhere. What is inside a namespace is not looked at here, since it goes with the namespace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from enum import Enum

from attrs import frozen

from zosfsm.kernel import namespaces
from zosfsm.kernel.links import Links
from zosfsm.kernel.ownership import is_ours
from zosfsm.kernel.tunnel_processes import TunnelProcess, running
from zosfsm.kernel.wireguard_userspace import answering, end_process, remove_socket_of_nobody, sockets


class Kind(Enum):
    """What a trace is."""

    NAMESPACE = "namespace"
    LINK = "link"
    PROCESS = "process"
    SOCKET = "socket"


class Owner(Enum):
    """To what a trace belongs."""

    NETWORK = "network resource"
    WORKLOAD = "workload"
    CABLE = "cable of a workload"
    DMZ = "DMZ"
    PUBLIC = "public interface"
    UPLINK = "uplink"


@frozen
class Trace:
    """One thing of ours in the kernel. Of a process the name is its device's, and of a socket too.

    `key` says which of the owner's kind: ID of a network resource, ID/NAME of a container and ID of a tap, the name of
    a cable; "" of what there is once.
    """

    kind: Kind
    name: str
    owner: Owner
    key: str = ""
    pid: int = 0

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}{f' ({self.pid})' if self.pid else ''}"


_IDENTIFIER = "([A-Za-z0-9_-]{1,13})"
_FORMS = {
    Kind.NAMESPACE: (
        (f"n-{_IDENTIFIER}", Owner.NETWORK),
        ("c-([A-Za-z0-9_]{1,13})-([a-z0-9-]{1,63})", Owner.WORKLOAD),
        ("ndmz", Owner.DMZ),
        ("public", Owner.PUBLIC),
    ),
    Kind.LINK: (
        (f"[blw]-{_IDENTIFIER}", Owner.NETWORK),
        (f"t-{_IDENTIFIER}", Owner.WORKLOAD),
        ("(v-[a-z2-7]{13})", Owner.CABLE),
        ("(?:br|to)-ndmz", Owner.DMZ),
        ("zos", Owner.UPLINK),
    ),
    Kind.PROCESS: ((f"w-{_IDENTIFIER}", Owner.NETWORK),),
    Kind.SOCKET: (("w-([1-9A-HJ-NP-Za-km-z]{13})", Owner.NETWORK),),
}


def look(known: Collection[str] = ()) -> tuple[Trace, ...]:
    """All traces. Raises KernelError.

    The namespaces that are `known` to be wanted are not entered to find their mark: that is what takes time where there
    are a thousand, and their links, processes and sockets are looked at all the same.
    """
    processes = tuple(running())
    with Links(None) as links:
        marked = [link.name for link in links.all() if is_ours(link)]
    return (
        *_traces(Kind.NAMESPACE, (name for name in namespaces.names() if name in known or namespaces.is_ours(name))),
        *_traces(Kind.LINK, marked),
        *(trace for process in processes for trace in _traces(Kind.PROCESS, (process.device,), process.pid)),
        # An engineer's socket is not even spoken to.
        *(trace for trace in _traces(Kind.SOCKET, sockets()) if answering(trace.name) is None),
    )


def doubles() -> tuple[Trace, ...]:
    """Processes of devices that have several: all but the one that answers. Where none answers, none is better."""
    by_device: dict[str, list[int]] = {}
    for process in running():
        by_device.setdefault(process.device, []).append(process.pid)
    several = [(device, pids) for device, pids in by_device.items() if len(pids) > 1]
    return tuple(
        trace
        for device, pids in several
        if (right := answering(device)) in pids
        for pid in pids
        if pid != right
        for trace in _traces(Kind.PROCESS, (device,), pid)
    )


def remove(trace: Trace) -> None:
    """Take away this one thing, if it is still there and ours. Raises KernelError."""
    match trace.kind:
        case Kind.NAMESPACE:
            if namespaces.is_ours(trace.name):
                namespaces.delete(trace.name)
        case Kind.LINK:
            with Links(None) as links:
                link = links.find(trace.name)
                if link is not None and is_ours(link):
                    links.delete(trace.name)
        case Kind.PROCESS:
            end_process(TunnelProcess(trace.pid, trace.name))
        case Kind.SOCKET:
            remove_socket_of_nobody(trace.name)


def networks() -> tuple[str, ...]:
    """The identifiers of the network resources of which there is any trace. Raises KernelError."""
    return tuple(sorted({trace.key for trace in look() if trace.owner is Owner.NETWORK}))


def left_behind() -> tuple[str, ...]:
    """What there still is of a node's making, in words. Raises KernelError."""
    order = list(Owner)
    found = sorted({(order.index(trace.owner), trace.key) for trace in look()})
    return tuple(f"{order[index].value} {key}".strip() for index, key in found)


def _traces(kind: Kind, names: Iterable[str], pid: int = 0) -> Iterator[Trace]:
    """Those of the names that have one of the forms."""
    for name in names:
        for form, owner in _FORMS[kind]:
            if found := re.fullmatch(form, name):
                yield Trace(kind, name, owner, "/".join(found.groups()), pid)
