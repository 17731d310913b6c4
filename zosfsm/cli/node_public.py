"""`zosfsm node public`: sets a node's public interface in the grid, on trial where wished. The node decides."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from zosfsm.cli.errors import DONE, FAILED, USAGE, CommandFailed
from zosfsm.cli.grid_calls import add_grid_argument, ask_grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from zosfsm.grid.client import GridClient
    from zosfsm.grid.documents import Interface, Node, PublicConfiguration

Value = TypeVar("Value")

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 1.0


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    public = commands.add_parser("public", help="set the public interface of a node")
    public.add_argument("node", metavar="NODE", help="the node's id")
    public.add_argument("--master", metavar="NIC", help="the NIC that it is on")
    public.add_argument("--vlan", type=int, metavar="N", help="on this VLAN of the NIC")
    public.add_argument("--ipv4", metavar="ADDRESS/PREFIX")
    public.add_argument("--gw4", metavar="ADDRESS")
    public.add_argument("--ipv6", metavar="ADDRESS/PREFIX")
    public.add_argument("--gw6", metavar="ADDRESS")
    public.add_argument("--off", action="store_true", help="no public interface any more")
    public.add_argument(
        "--try",
        action="store_true",
        dest="on_trial",
        help="wait until the node has it, else put back what was before",
    )
    public.add_argument(
        "--timeout",
        type=float,
        default=PATIENCE_SECONDS,
        metavar="S",
        help=f"how long to wait with --try, in seconds (default: {PATIENCE_SECONDS:g})",
    )
    add_grid_argument(public)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 where the node did not take it."""
    wish = _wish(arguments)
    if arguments.on_trial and not 0 < arguments.timeout < float("inf"):
        raise CommandFailed(f"--timeout: expected seconds, more than 0, found {arguments.timeout:g}", USAGE)

    async def configure(grid: GridClient) -> int:
        before = await grid.node(arguments.node)
        if arguments.on_trial and _is_published(before, wish):
            raise CommandFailed(
                "expected other addresses or gateways than the node has published already, found the same: "
                "a trial could not tell one from the other; leave --try out, the node checks by itself",
                USAGE,
            )
        await grid.configure_public(arguments.node, wish)
        if not arguments.on_trial:
            return DONE
        return await _tried(grid, arguments.node, before.public_config, wish, arguments.timeout)

    return ask_grid(arguments, configure)


async def _tried(
    grid: GridClient, node_id: str, former: PublicConfiguration | None, wish: PublicConfiguration, seconds: float
) -> int:
    from zosfsm.grid.errors import GridError

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(min(LOOK_SECONDS, seconds))
        try:
            if _is_published(await grid.node(node_id), wish):
                done = "has taken the public interface into use" if wish != _none() else "has no public interface"
                print(f"the node {done}")
                return DONE
        except GridError:
            # A grid that is away or at fault for a moment is one more reason to wait: nothing is put back otherwise.
            continue
    await grid.configure_public(node_id, former or _none())
    told = "no public interface" if former is None else "the configuration before"
    print(
        f"expected the node to publish the public interface within {seconds:g} s, found that it did not: {told} is "
        "put back; look at `zosfsm why` on the node",
        file=sys.stderr,
    )
    return FAILED


def _is_published(node: Node, wish: PublicConfiguration) -> bool:
    found = _published(node)
    addresses = {address for address in (wish.ipv4, wish.ipv6) if address is not None}
    gateways = {gateway for gateway in (wish.gw4, wish.gw6) if gateway is not None}
    if found is None:
        return not addresses
    return (set(found.addrs), set(found.gateway)) == (addresses, gateways)


def _published(node: Node) -> Interface | None:
    from zosfsm.lifecycles.public_data import NAMESPACE

    return next((interface for interface in node.ifaces if interface.name == NAMESPACE), None)


def _wish(arguments: argparse.Namespace) -> PublicConfiguration:
    """What the arguments say, if it can be right at all."""
    from zosfsm.grid.documents import PublicConfiguration, PublicKind
    from zosfsm.lifecycles.public_data import PublicWish
    from zosfsm.lifecycles.public_rules import fault

    given = (arguments.master, arguments.vlan, arguments.ipv4, arguments.gw4, arguments.ipv6, arguments.gw6)
    if arguments.off:
        if any(value is not None for value in given):
            raise CommandFailed("--off: expected nothing beside it, found a NIC, a VLAN or an address", USAGE)
        return _none()
    if arguments.master is None:
        raise CommandFailed("expected --master with the NIC of the public interface, or --off, found neither", USAGE)
    wish = PublicWish(
        0,
        arguments.master,
        arguments.vlan,
        _read("--ipv4", ip_interface, arguments.ipv4, "an address with its prefix such as 203.0.113.5/24"),
        _read("--gw4", ip_address, arguments.gw4, "an address such as 203.0.113.1"),
        _read("--ipv6", ip_interface, arguments.ipv6, "an address with its prefix such as 2001:db8::5/64"),
        _read("--gw6", ip_address, arguments.gw6, "an address such as 2001:db8::1"),
    )
    for option, address in (("--ipv4", arguments.ipv4), ("--ipv6", arguments.ipv6)):
        if address is not None and "/" not in address:
            raise CommandFailed(f"{option}: expected an address with its prefix, found {address!r}", USAGE)
    if found := fault(wish):
        raise CommandFailed(found, USAGE)
    kind = PublicKind.MACVLAN if wish.vlan is None else PublicKind.VLAN
    return evolve(
        PublicConfiguration(wish.master, kind, wish.vlan or 0),
        ipv4=wish.ipv4,
        ipv6=wish.ipv6,
        gw4=wish.gateway4,
        gw6=wish.gateway6,
    )


def _none() -> PublicConfiguration:
    from zosfsm.grid.documents import PublicConfiguration
    from zosfsm.lifecycles.public_data import NO_MASTER

    return PublicConfiguration(NO_MASTER)


def _read(option: str, read: Callable[[str], Value], text: str | None, expected: str) -> Value | None:
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise CommandFailed(f"{option}: expected {expected}, found {text!r}", USAGE) from error
