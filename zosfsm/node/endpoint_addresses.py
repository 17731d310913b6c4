"""Where an endpoint is, by the name servers of one path, and whether they can be believed.

It must not decide what follows: that is the machine's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network

from attrs import frozen

from zosfsm.grid.endpoints import Address, Endpoint, Kind
from zosfsm.kernel import name_resolution
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_resolution import NameUnresolved, Version
from zosfsm.lifecycles.path_data import Resolved

# Nobody who serves others is there: this host, its link, many at once, nobody yet. Private addresses are fine: a lab or
# a farm may have its grid on its own LAN.
_IMPOSSIBLE: tuple[IPv4Network | IPv6Network, ...] = (
    *(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
    *(IPv6Network(text) for text in ("::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8")),
)


@frozen
class Unresolved:
    """The endpoint has no address of the path's family; `is_lie`: what was given cannot be its address."""

    reason: str
    is_lie: bool = False


async def looked_up(
    link: str, servers: tuple[Address, ...], version: Version, endpoint: Endpoint
) -> Resolved | Unresolved:
    """The endpoint's addresses of this version; a host that is an address stands for itself."""
    if endpoint.address is not None:
        return _literal(endpoint, endpoint.address, version)
    try:
        answer = await name_resolution.resolve(link, servers, endpoint.host, version)
    except NameUnresolved as error:
        return Unresolved(error.cause)
    except KernelError as error:
        return Unresolved(str(error))
    possible = tuple(address for address in answer.addresses if not any(address in range_ for range_ in _IMPOSSIBLE))
    if possible:
        return Resolved(endpoint.host, possible)
    what = f"{answer.server} answers {endpoint.host} with {answer.addresses[0]}, where no server can be"
    return Unresolved(what, is_lie=True)


async def unmasked(link: str, servers: tuple[Address, ...], version: Version, suspicious: Collection[Address]) -> str:
    """The sentence about a server that gives one of these addresses to names that cannot exist; "" if none does.

    One that gives such names another address is not blamed: many providers lead typing errors to a page of theirs.
    """
    asked = servers[: name_resolution.MOST_SERVERS]
    questions = (name_resolution.answer_to_everything(link, server, version) for server in asked)
    for server, lie in zip(asked, await asyncio.gather(*questions), strict=True):
        if lie in suspicious:
            return f"{server} answers every name with {lie}"
    return ""


def _literal(endpoint: Endpoint, address: Address, version: Version) -> Resolved | Unresolved:
    if address.version == version:
        return Resolved(endpoint.host, (address,))
    whose = "the grid's address" if endpoint.kind is Kind.GRID else f"the address of {endpoint.url},"
    return Unresolved(f"{whose} {address} is IPv{address.version}, which this path is not")
