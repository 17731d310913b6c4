"""`zosfsm node`: what the grid knows about nodes, and what farmers wish for them."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import TYPE_CHECKING

from zosfsm.cli import node_public
from zosfsm.cli.errors import DONE, USAGE, CommandFailed
from zosfsm.cli.grid_calls import add_grid_argument, ask_grid, print_table

if TYPE_CHECKING:
    from zosfsm.grid.documents import Node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("list", help="the nodes of a farm, or all")
    listed.add_argument("--farm", type=int, metavar="N", help="only those of this farm")
    listed.add_argument("--json", action="store_true", help="the grid's documents, as one JSON list")
    add_grid_argument(listed)
    show = commands.add_parser("show", help="one node")
    show.add_argument("node", metavar="NODE", help="the node's id")
    show.add_argument("--json", action="store_true", help="the grid's document")
    add_grid_argument(show)
    node_public.add_arguments(commands)


def run(arguments: argparse.Namespace) -> int:
    commands = {"list": _list, "show": _show, "public": node_public.run}
    return commands[arguments.command](arguments)


def _list(arguments: argparse.Namespace) -> int:
    if arguments.farm is not None and not 0 <= arguments.farm < 2**63:
        raise CommandFailed(f"--farm: expected a farm's id, found {arguments.farm}", USAGE)
    nodes = ask_grid(arguments, lambda grid: grid.nodes(arguments.farm))
    if arguments.json:
        from zosfsm.grid.reading import write

        print(json.dumps([write(node) for node in nodes], indent=2))
        return DONE
    rows = [(node.node_id, str(node.farm_id), node.os_version, _uptime(node), _moment(node.updated)) for node in nodes]
    print_table(("node", "farm", "os version", "uptime", "updated"), rows)
    return DONE


def _show(arguments: argparse.Namespace) -> int:
    node = ask_grid(arguments, lambda grid: grid.node(arguments.node))
    if arguments.json:
        from zosfsm.grid.reading import write

        print(json.dumps(write(node), indent=2))
        return DONE
    print_table(("what", "value"), _facts(node))
    return DONE


def _facts(node: Node) -> list[tuple[str, str]]:
    facts = [
        ("node", node.node_id),
        ("farm", str(node.farm_id)),
        ("os version", node.os_version),
        ("created", _moment(node.created)),
        ("updated", _moment(node.updated)),
        ("uptime", _uptime(node)),
        ("location", ", ".join(part for part in (node.location.city, node.location.country) if part)),
        ("wireguard ports", ", ".join(str(port) for port in node.wg_ports)),
    ]
    for interface in node.ifaces:
        addresses = ", ".join(str(address) for address in interface.addrs) or "no address"
        gateways = ", ".join(str(gateway) for gateway in interface.gateway)
        facts.append((f"interface {interface.name}", f"{addresses} via {gateways}" if gateways else addresses))
    if node.public_config is not None:
        wish = node.public_config
        addresses = ", ".join(str(address) for address in (wish.ipv4, wish.ipv6) if address is not None)
        kind = wish.type.name.lower()
        facts.append(
            ("public interface", f"version {wish.version}: {kind} on {wish.master}, {addresses or 'no address'}")
        )
    return facts


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _uptime(node: Node) -> str:
    minutes, _ = divmod(node.uptime, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02}:{minutes:02}" if days else f"{hours:02}:{minutes:02}"
