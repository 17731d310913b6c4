"""What joins a network resource: its place there, what is remembered of it, what is asked of the world. Plain data."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect


@frozen
class WorkloadPlace:
    """Its addresses in the network, with the lengths of the network's prefixes."""

    address: IPv4Interface
    ula: IPv6Interface

    @property
    def subnet(self) -> IPv4Network:
        """The network resource's."""
        return self.address.network

    @property
    def gateway(self) -> IPv4Address:
        """The network resource's own address, which answers DNS too."""
        return self.subnet.network_address + 1

    @property
    def gateway_ipv6(self) -> IPv6Address:
        """The same of its ULA."""
        return self.ula.network[1]


@frozen
class JoinAsked:
    """Somebody wants it joined, with this address, or any (None); `call` is how the answer finds back."""

    call: str
    address: IPv4Address | None = None


@frozen
class LeaveAsked:
    """Somebody wants it gone; `call` is how the answer finds back."""

    call: str


@frozen
class NetworkUp:
    """The network resource is up, and this is its subnet."""

    subnet: IPv4Network


@frozen
class WorkloadData:
    """`asked` is the address that it was joined with by wish; `was_joined` says that somebody was told that it is.

    `joiners` and `leavers` are the calls that wait for an answer.
    """

    asked: IPv4Address | None = None
    place: WorkloadPlace | None = None
    was_joined: bool = False
    joiners: tuple[str, ...] = ()
    leavers: tuple[str, ...] = ()
    fault: str = ""


@frozen
class ReserveAddress(Effect):
    """Make an address of the network its own: `asked`, or the lowest that is free. Answers reserved or refused."""

    network: str
    name: str
    asked: IPv4Address | None


@frozen
class JoinNetwork(Effect):
    """Make its namespace (its tap, where `name` is "") and plug it in, as the difference to what is there.

    Answers joined or step_failed.
    """

    network: str
    name: str
    place: WorkloadPlace


@frozen
class LeaveNetwork(Effect):
    """Undo JoinNetwork, also a half of it, or nothing at all; answers gone or step_failed."""

    network: str
    name: str


@frozen
class WatchWorkload(Effect):
    """Look at it as long as the machine stays in its state; tell differs once it is not as JoinNetwork leaves it."""

    network: str
    name: str
    place: WorkloadPlace
    every: timedelta


@frozen
class AnswerCalls(Effect):
    """Tell those who called what came of it: it is at this place, or gone (None), or was refused, and why."""

    calls: tuple[str, ...]
    place: WorkloadPlace | None = None
    refusal: str = ""
