"""What the floor of a network resource sends, to the kernel and to wireguard-go: all of it made beforehand. Pure."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from attrs import frozen

from zosfsm.kernel import dmz
from zosfsm.kernel.netlink import message_of
from zosfsm.kernel.network_plan import PUBLIC, NetworkPlan
from zosfsm.kernel.ownership import GROUP
from zosfsm.kernel.wireguard import MTU, Changes, Network
from zosfsm.kernel.wireguard_uapi import set_request

NAMESPACE = 400
"""The file descriptor that is the namespace of the network being made, so that it can stand in prepared messages."""

# rtnetlink(7), netlink(7), linux/if_link.h
_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 17, 20, 24
_REQUEST_AND_ANSWER, _CREATE = 0x5, 0x400
_UP = 1
_MACVLAN_PRIVATE = 1
_MAIN_TABLE, _STATIC, _UNICAST, _LINK_SCOPE = 254, 4, 1, 253

# Where the kernel may not choose, everything can be said beforehand.
_FIRST_INDEX = 1_000_000
_LO_INDEX, _LAN_INDEX, _PUBLIC_INDEX, _TUNNEL_INDEX = 1, 10, 11, 12

Messages = tuple[bytes, ...]


@frozen
class Prepared:
    """One network's: each is sent in one go."""

    bridge: bytes
    veth: bytes
    macvlan: bytes
    outside_up: Messages
    inside: Messages
    ruleset: bytes
    move: bytes
    configuration: bytes
    tunnel_up: Messages
    new_peer: bytes
    new_routes: Messages
    delete_bridge: bytes


def prepared(plan: NetworkPlan, after: NetworkPlan, number: int, dmz_index: int) -> Prepared:
    """For the network `number`, and for the version after it."""
    index = _FIRST_INDEX + 2 * number
    names = plan.names
    peer = {
        "index": _LAN_INDEX,
        "attrs": [("IFLA_IFNAME", names.namespace), ("IFLA_GROUP", GROUP), ("IFLA_NET_NS_FD", NAMESPACE)],
    }
    return Prepared(
        bridge=_link(index, names.bridge, "bridge"),
        veth=_link(index + 1, names.outside, "veth", data=[("VETH_INFO_PEER", peer)]),
        macvlan=_link(
            _PUBLIC_INDEX,
            PUBLIC,
            "macvlan",
            [("IFLA_LINK", dmz_index), ("IFLA_NET_NS_FD", NAMESPACE)],
            [("IFLA_MACVLAN_MODE", _MACVLAN_PRIVATE)],
        ),
        outside_up=(_switched_on(index + 1, [("IFLA_MASTER", index)]), _switched_on(index)),
        inside=(
            _switched_on(_LO_INDEX, [("IFLA_GROUP", GROUP)]),
            *(_switched_on(link) for link in (_LAN_INDEX, _PUBLIC_INDEX)),
            *(_address(_LAN_INDEX, each) for each in plan.lan_addresses),
            *(_address(_PUBLIC_INDEX, each) for each in plan.dmz_addresses),
            _route(_PUBLIC_INDEX, "0.0.0.0", 0, str(dmz.GATEWAY)),
            _route(_PUBLIC_INDEX, "::", 0, str(dmz.GATEWAY_IPV6)),
        ),
        ruleset=plan.ruleset.encode(),
        move=_message(
            "ifinfmsg",
            _NEW_LINK,
            [("IFLA_IFNAME", names.tunnel), ("IFLA_NET_NS_FD", NAMESPACE), ("IFLA_NEW_IFINDEX", _TUNNEL_INDEX)],
        ),
        configuration=set_request(Changes(plan.private_key, plan.listen_port, added=plan.peers)).encode(),
        tunnel_up=(
            _switched_on(_TUNNEL_INDEX, [("IFLA_MTU", MTU)]),
            *(_address(_TUNNEL_INDEX, each) for each in plan.tunnel_addresses),
            *_routes(plan.tunnel_destinations),
        ),
        new_peer=set_request(Changes(added=after.peers[len(plan.peers) :])).encode(),
        new_routes=_routes(after.tunnel_destinations - plan.tunnel_destinations),
        delete_bridge=_message("ifinfmsg", _DELETE_LINK, [], index=index),
    )


def _link(index: int, name: str, kind: str, settings: Iterable[Any] = (), data: Iterable[Any] = ()) -> bytes:
    given = list(data)
    details = [("IFLA_INFO_DATA", {"attrs": given})] if given else []
    information = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *details]})
    return _message(
        "ifinfmsg",
        _NEW_LINK | _CREATE << 16,
        [("IFLA_IFNAME", name), ("IFLA_GROUP", GROUP), *settings, information],
        index=index,
    )


def _switched_on(index: int, settings: Iterable[Any] = ()) -> bytes:
    return _message("ifinfmsg", _NEW_LINK, settings, index=index, flags=_UP, change=_UP)


def _address(index: int, interface: IPv4Interface | IPv6Interface) -> bytes:
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    attributes = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip))]
    length = interface.network.prefixlen
    return _message("ifaddrmsg", _NEW_ADDRESS | _CREATE << 16, attributes, index=index, family=family, prefixlen=length)


def _route(index: int, destination: str, length: int, gateway: str | None = None) -> bytes:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    scope = _LINK_SCOPE if gateway is None and family == socket.AF_INET else 0
    attributes: list[tuple[str, object]] = [("RTA_DST", destination), ("RTA_OIF", index)]
    if gateway is not None:
        attributes.append(("RTA_GATEWAY", gateway))
    fields = {"family": family, "dst_len": length, "table": _MAIN_TABLE, "proto": _STATIC, "type": _UNICAST}
    return _message("rtmsg", _NEW_ROUTE | _CREATE << 16, attributes, scope=scope, **fields)


def _routes(networks: Iterable[Network]) -> Messages:
    return tuple(_route(_TUNNEL_INDEX, str(each.network_address), each.prefixlen) for each in networks)


def _message(name: Any, kind: int, attributes: Iterable[Any], **fields: int) -> bytes:
    """`kind` has the flags beyond the usual ones in its upper half."""
    message = message_of(name, attributes, **fields)
    message["header"].update(type=kind & 0xFFFF, flags=_REQUEST_AND_ANSWER | kind >> 16)
    message.encode()
    return bytes(message.data)
