"""What a path has and what it found, in the words that operators read. Pure; decides nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from zosfsm.fsm.lifecycle import Context, Event
from zosfsm.lifecycles.lease_terms import Lease
from zosfsm.lifecycles.path_data import PathData, RouterAdvertised
from zosfsm.lifecycles.uplink_policy import Family

Address = IPv4Address | IPv6Address


def source_of(data: PathData) -> IPv4Interface | IPv6Interface | None:
    """The path's own address, with its network."""
    if data.family is Family.IPV4:
        return data.lease.address if data.lease else None
    return data.router.addresses[0] if data.router and data.router.addresses else None


def gateway_of(data: PathData) -> Address | None:
    """Who is to carry the path's packets on."""
    if data.family is Family.IPV4:
        return data.lease.router if data.lease else None
    return data.router.router if data.router else None


def name_servers_of(data: PathData) -> tuple[Address, ...]:
    """Of this family only: the path is proven without the other one."""
    if data.family is Family.IPV4:
        return data.lease.name_servers if data.lease else ()
    return data.router.name_servers if data.router else ()


def leased_from(lease: Lease) -> str:
    """Where an address comes from."""
    if lease.server is None:
        return f"given {lease.address} by hand"
    return f"leased {lease.address} from {lease.server}"


def no_gateway_in(lease: Lease) -> str:
    """Why a lease leads nowhere."""
    if lease.server is None:
        return f"given {lease.address} by hand, and no gateway"
    return f"{leased_from(lease)}, which names no gateway"


def no_gateway_at(router: RouterAdvertised) -> str:
    """Why an advertisement leads nowhere."""
    if not router.lifetime:
        return f"{router.router} advertises itself, and does not want to be a default gateway"
    return f"{router.router} advertises itself, and no prefix for addresses"


def evidence(context: Context[PathData], event: Event) -> str:
    """What was found, on entering a state of failure."""
    data = context.data
    if context.state == "no_route":
        # What listens for routers knows more of an advertisement than the machine does; DHCP's client says no reason.
        return (event.reason if data.family is Family.IPV6 else "") or _no_route(data)
    if context.state == "no_gateway":
        return _no_gateway(data, event.reason or f"this node was too slow to try {gateway_of(data)}")
    return event.reason or _without_word(context.state, data)


def _no_route(data: PathData) -> str:
    if data.family is Family.IPV4 and data.lease is not None:
        return no_gateway_in(data.lease)
    if data.family is Family.IPV6 and data.router is not None:
        return no_gateway_at(data.router)
    return "the router was not heard of for as long as it had promised"


def _without_word(state: str, data: PathData) -> str:
    """Where time alone has led to the state."""
    if state == "suspended":
        return "no carrier"
    if state == "no_address":
        return "DHCP came to no end in time" if data.family is Family.IPV4 else "no router advertises itself"
    if state == "no_names":
        return "the name servers came to no answer in time"
    return f"{gateway_of(data)} answers, and the grid does not answer through it in time"


def _no_gateway(data: PathData, found: str) -> str:
    if data.lease is None:
        return found
    had = f"given {data.lease.address} by hand" if data.lease.server is None else f"leased {data.lease.address}"
    return f"{had} but {found}"
