"""The inventory of a node's links with their addresses and gateways, joined by pyroute2's NDB.

It is for what is published and shown, a few times in a node's life: NDB costs a thread, a database and tens of
milliseconds. It must not be used on the way to connectivity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import Any

from attrs import frozen

from zosfsm.kernel.errors import KernelError

# netdevice(7)
_UP = 0x1
_LOOPBACK = 0x8
_LOWER_UP = 0x10000

# Default routes to somewhere (type unicast) in the main table; one of several hops has each of them in the table nh.
_GATEWAYS = """
    SELECT coalesce(nh.f_oif, routes.f_RTA_OIF), coalesce(nh.f_RTA_GATEWAY, routes.f_RTA_GATEWAY)
      FROM routes LEFT JOIN nh ON nh.f_route_id = routes.f_route_id
     WHERE routes.f_dst_len = 0 AND routes.f_type = 1 AND routes.f_table = 254
     ORDER BY routes.f_family, routes.f_RTA_PRIORITY, nh.f_nh_id
"""


@frozen
class Interface:
    """One link with all its addresses, link-local ones among them, and the gateways of the default routes over it.

    `kind` is "" for a physical NIC; `carrier` is false while the link is switched off.
    """

    name: str
    mac: str
    kind: str
    up: bool
    carrier: bool
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    gateways: tuple[IPv4Address | IPv6Address, ...]


def census() -> tuple[Interface, ...]:
    """Every link but the loopback in the calling thread's namespace, in the order of their indexes."""
    with _database() as database:
        addresses, gateways = _addresses(database), _gateways(database)
        rows = sorted(database.interfaces.dump(), key=lambda row: int(row["index"]))
        return tuple(
            Interface(
                name=row["ifname"],
                mac=row["address"] or "",
                kind=row["kind"] or "",
                up=bool(row["flags"] & _UP),
                carrier=bool(row["flags"] & _LOWER_UP),
                addresses=tuple(addresses[row["index"]]),
                gateways=tuple(gateways[row["index"]]),
            )
            for row in rows
            if row["index"] > 0 and not row["flags"] & _LOOPBACK
        )


def _addresses(database: Any) -> dict[int, list[IPv4Interface | IPv6Interface]]:
    found: dict[int, list[IPv4Interface | IPv6Interface]] = defaultdict(list)
    for row in database.addresses.dump():
        # On a point-to-point link "address" is the other end, and "local" is ours.
        found[row["index"]].append(ip_interface(f"{row['local'] or row['address']}/{row['prefixlen']}"))
    return found


def _gateways(database: Any) -> dict[int, list[IPv4Address | IPv6Address]]:
    found: dict[int, list[IPv4Address | IPv6Address]] = defaultdict(list)
    for index, text in database.db.fetch(_GATEWAYS):
        if not text:
            continue
        gateway = ip_address(text)
        if gateway not in found[index]:
            found[index].append(gateway)
    return found


@contextmanager
def _database() -> Iterator[Any]:
    """NDB, filled with what the kernel has now. Its thread and its socket are in the calling thread's namespace."""
    from pyroute2.ndb.main import NDB
    from pyroute2.netlink.exceptions import NetlinkError

    operation = "take the census of the interfaces"
    try:
        database: Any = NDB()  # type: ignore[no-untyped-call]
    except (OSError, NetlinkError) as error:
        raise KernelError(operation, str(error)) from error
    source: Any = None
    try:
        source = database.sources.asyncore["localhost"]
        if source.state.get() != "running":
            raise KernelError(operation, "the kernel's tables could not be read; try again")
        yield database
    finally:
        database.close()
        # NDB 0.9.7 leaves the netlink socket of its source open, subscribed to everything and never read again.
        if source is not None and source.nl is not None:
            source.nl.close()
