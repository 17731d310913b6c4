"""The routes of the main table. It must not decide where packets should go."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from attrs import field, frozen

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.netlink import CREATE, REPLACE, Message, NetlinkSession, message_of

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

TRIAL_METRIC = 30_000
"""The metric of a trial's routes is this plus the link's index: behind whatever routes a kernel, a router advertisement
or a person sets, and another one for each link, so that two links' routes to one network stand beside each other.
"""

# rtnetlink(7) and linux/rtnetlink.h
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_MAIN_TABLE = 254
_UNICAST = 1
_SCOPE_LINK = 253
_SCOPE_UNIVERSE = 0
_SCOPE_NOWHERE = 255
_DESTINATION_LENGTH_AT = 17  # in a message: struct nlmsghdr, and the second byte of struct rtmsg
_STATIC = 4
_ORIGINS = {2: "kernel", 3: "boot", _STATIC: "static", 9: "ra", 16: "dhcp"}


@frozen
class Route:
    """One way to `destination`; `gateway` is None where that is on the link itself, `metric` None for IPv4's default.

    `origin` says who made it: "kernel", "ra", "static", "boot", "dhcp" or a number; `source` is the address of packets
    that have none yet. Equality leaves both out.
    """

    destination: Network
    gateway: Address | None
    link: str
    metric: int | None = None
    origin: str = field(default="static", eq=False)
    source: Address | None = field(default=None, eq=False)


class RouteOperations(NetlinkSession):
    """The part of `Links` that is about routes."""

    def default_route(self, family: Literal[4, 6]) -> Route | None:
        """The default route that the kernel prefers: the one of the lowest metric."""
        defaults = self._hops(family, keep=_is_default)
        if not defaults:
            return None
        message, hop, index = min(defaults, key=lambda found: found[0].get_attr("RTA_PRIORITY") or 0)
        return _route(message, hop, self._name(index))

    def routes(self, link: str, families: tuple[Literal[4, 6], ...] = (4, 6)) -> tuple[Route, ...]:
        """The routes over `link`; those made by the kernel for an address have the origin "kernel"."""
        wanted = self._required_index(link, f"list the routes over {link}{self._where()}")
        over = [("RTA_OIF", wanted)]
        found = (each for family in families for each in self._hops(family, over))
        return tuple(_route(message, hop, link) for message, hop, index in found if index == wanted)

    def replace_route(
        self,
        destination: Network,
        gateway: Address | None,
        link: str,
        metric: int | None = None,
        source: Address | None = None,
        mtu: int | None = None,
    ) -> None:
        """Send `destination` over `link`, in place of any route to it with that metric (IPv6's default is 1024).

        The host must have `source`, and the route goes with it unless another link has it too. `mtu` is the largest
        packet in bytes that goes this way.
        """
        operation = f"set route {_words(destination, gateway, link, metric)}{self._where()}"
        _check_families(operation, destination, gateway)
        index = self._required_index(link, operation)
        scope = _SCOPE_LINK if gateway is None and destination.version == 4 else _SCOPE_UNIVERSE
        settings: list[tuple[str, object]] = [] if mtu is None else [("RTA_METRICS", {"attrs": [("RTAX_MTU", mtu)]})]
        request = _message(destination, gateway, index, metric, source, settings, proto=_STATIC, scope=scope)
        self._change(operation, _NEW_ROUTE, request, CREATE | REPLACE)

    def remove_route(
        self,
        destination: Network,
        gateway: Address | None,
        link: str,
        metric: int | None = None,
        source: Address | None = None,
    ) -> None:
        """Remove that route; success if the route or the link is absent. Without metric or source, any matches."""
        operation = f"remove route {_words(destination, gateway, link, metric)}{self._where()}"
        _check_families(operation, destination, gateway)
        index = self._index(link)
        if index is None:
            return
        # RT_SCOPE_NOWHERE matches every scope when removing, and no origin matches every origin.
        request = _message(destination, gateway, index, metric, source, (), scope=_SCOPE_NOWHERE)
        absent = (errno.ESRCH, errno.ENODEV, errno.ENETUNREACH)
        self._change(operation, _DELETE_ROUTE, request, passing=absent)

    def _hops(
        self, family: int, wanted: Iterable[tuple[str, object]] = (), keep: Callable[[bytes], bool] = lambda _: True
    ) -> tuple[tuple[Message, Message, int], ...]:
        """Each unicast route of the main table, with each of its next hops and the index of that one's link.

        Those that have the attributes `wanted`, and of which `keep` says so from the bytes of their message.
        """
        operation = f"list the IPv{family} routes{self._where()}"
        number = socket.AF_INET if family == 4 else socket.AF_INET6
        # ENOENT: without any route there is no table yet.
        request = message_of("rtmsg", wanted, family=number, table=_MAIN_TABLE)
        messages = self._dump(operation, _GET_ROUTE, request, (errno.ENOENT,), keep)
        return tuple((message, *hop) for message in messages if _is_wanted(message) for hop in _hops(message))

    def _name(self, index: int) -> str:
        found = self._read_links(f"look up the link with index {index}{self._where()}", index)
        return found[0].name if found else f"link {index}"


def _message(
    destination: Network,
    gateway: Address | None,
    index: int,
    metric: int | None,
    source: Address | None,
    settings: Iterable[tuple[str, object]],
    **fields: int,
) -> Message:
    attributes: list[tuple[str, object]] = [
        ("RTA_DST", str(destination.network_address)),
        ("RTA_OIF", index),
        *settings,
    ]
    if gateway is not None:
        attributes.append(("RTA_GATEWAY", str(gateway)))
    if metric is not None:
        attributes.append(("RTA_PRIORITY", metric))
    if source is not None:
        attributes.append(("RTA_PREFSRC", str(source)))
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    length = destination.prefixlen
    return message_of("rtmsg", attributes, family=family, dst_len=length, table=_MAIN_TABLE, type=_UNICAST, **fields)


def _is_default(message: bytes) -> bool:
    return message[_DESTINATION_LENGTH_AT] == 0


def _is_wanted(message: Message) -> bool:
    table = message.get_attr("RTA_TABLE") or message["table"]
    return bool(table == _MAIN_TABLE and message["type"] == _UNICAST)


def _route(message: Message, hop: Message, link: str) -> Route:
    metric = message.get_attr("RTA_PRIORITY")
    origin = _ORIGINS.get(message["proto"], str(message["proto"]))
    source = message.get_attr("RTA_PREFSRC")
    return Route(
        _destination(message), _gateway(hop), link, metric, origin, None if source is None else ip_address(source)
    )


def _hops(message: Message) -> Iterator[tuple[Message, int]]:
    several = message.get_attr("RTA_MULTIPATH")
    if several:
        yield from ((hop, hop["oif"]) for hop in several)
        return
    yield message, message.get_attr("RTA_OIF") or 0


def _gateway(hop: Message) -> Address | None:
    plain = hop.get_attr("RTA_GATEWAY")
    if plain is not None:
        return ip_address(plain)
    other_family = hop.get_attr("RTA_VIA")
    return None if other_family is None else ip_address(other_family["addr"])


def _destination(message: Message) -> Network:
    everything = "0.0.0.0" if message["family"] == socket.AF_INET else "::"
    return ip_network(f"{message.get_attr('RTA_DST') or everything}/{message['dst_len']}")


def _check_families(operation: str, destination: Network, gateway: Address | None) -> None:
    if gateway is not None and gateway.version != destination.version:
        raise KernelError(
            operation, f"the gateway is IPv{gateway.version} and the destination IPv{destination.version}"
        )


def _words(destination: Network, gateway: Address | None, link: str, metric: int | None) -> str:
    via = "" if gateway is None else f" via {gateway}"
    return f"{destination}{via} over {link}{'' if metric is None else f' with metric {metric}'}"
