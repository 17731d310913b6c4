"""Names and endpoints asked for real: a NIC whose routes nobody else uses, dnsmasq, portals and servers behind it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from tests.grid.answers import NO_FARM, PORTAL_PAGE, http, redirect
from tests.grid.authority import Authority
from tests.kernel.separate_host import SeparateHost, separate_hosts
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.grid.client import GridClient
from zosfsm.lifecycles.path_data import AskEndpoints, Resolution, ResolveNames
from zosfsm.lifecycles.uplink_policy import Family
from zosfsm.node.configuration import Configuration
from zosfsm.node.reachability_edge import ReachabilityEdge

pytestmark = pytest.mark.kernel

GRID, GRID_IPV6 = "198.51.100.1", "2001:db8:100::1"
SERVER, SERVER_IPV6 = "192.0.2.53", "2001:db8:1::53"
PORTAL = "10.0.0.1"
NAMED = "http://grid.example:8080"
Network = tuple[SeparateHost, SeparateHost]


@pytest.fixture
def network() -> Iterator[Network]:
    """A node with a NIC on trial, and what is behind its cable. The routes are as a trial's: behind all others."""
    with separate_hosts(2) as (node, far):
        node.shell(f"ip link add eth1 type veth peer name far netns {far.pid}; ip link set eth1 up")
        far.shell("ip link set lo up; ip link set far up")
        for address in ("192.0.2.1/24", f"{SERVER}/24", f"{GRID}/32", f"{PORTAL}/32"):
            far.shell(f"ip address add {address} dev far")
        for address in ("2001:db8:1::1/64", f"{SERVER_IPV6}/64", f"{GRID_IPV6}/128"):
            far.shell(f"ip address add {address} dev far nodad")
        node.shell("ip address add 192.0.2.7/24 dev eth1 noprefixroute")
        node.shell("ip address add 2001:db8:1::7/64 dev eth1 nodad noprefixroute")
        node.shell("ip route add 192.0.2.0/24 dev eth1 metric 30000")
        node.shell("ip route add default via 192.0.2.1 dev eth1 metric 30000")
        node.shell("ip -6 route add 2001:db8:1::/64 dev eth1 metric 30000")
        node.shell("ip -6 route add default via 2001:db8:1::1 dev eth1 metric 30000")
        # What is not tied to the NIC goes elsewhere, and is lost.
        node.shell("ip link add elsewhere type bridge; ip link set elsewhere up; ip route add default dev elsewhere")
        yield node, far


def serve_names(far: SeparateHost, *answers: str) -> None:
    words = " ".join(f"--address={answer}" for answer in answers)
    far.shell(f"dnsmasq --no-resolv --no-hosts --pid-file= --user=root {words}")


def serve_grid_names(far: SeparateHost) -> None:
    serve_names(far, f"/grid.example/{GRID}", f"/grid.example/{GRID_IPV6}")


def told(node: SeparateHost, url: str = NAMED, family: Family = Family.IPV4) -> tuple[str, str]:
    """The trigger and the reason with which the path leaves `resolving` or `asking_grid`."""
    event: Event = node.run(walked, url, family)
    return event.trigger, event.reason


@pytest.mark.parametrize("family", Family)
def test_a_grid_by_name_answers_in_both_families(network: Network, family: Family) -> None:
    node, far = network
    serve_grid_names(far)
    far.run(serve, http(NO_FARM, "404 Not Found"), 8080)
    assert told(node, family=family) == ("endpoints_answer", f"{NAMED} answers")


def test_a_grid_by_address_needs_no_name_server(network: Network) -> None:
    node, far = network
    far.run(serve, http(NO_FARM, "404 Not Found"), 8080)
    assert told(node, f"http://{GRID}:8080")[0] == "endpoints_answer"
    assert told(node, f"http://[{GRID_IPV6}]:8080", Family.IPV6)[0] == "endpoints_answer"


def test_a_name_server_that_does_not_know_the_grid_says_so(network: Network) -> None:
    node, far = network
    serve_names(far, "/example/")
    assert told(node) == ("names_silent", f"{SERVER} knows no grid.example (NXDOMAIN)")


def test_a_silent_name_server_is_told(network: Network) -> None:
    node, far = network
    far.shell("nft add table ip t; nft add chain ip t in '{ type filter hook input priority 0; }'")
    far.shell("nft add rule ip t in udp dport 53 drop")
    assert told(node) == ("names_silent", f"{SERVER} does not answer DNS")


def test_a_name_server_that_answers_everything_with_the_portal_is_unmasked(network: Network) -> None:
    node, far = network
    serve_names(far, f"/#/{PORTAL}")
    far.run(serve, http(PORTAL_PAGE, kind="text/html"), 8080)
    assert told(node) == ("names_lie", f"{SERVER} answers every name with {PORTAL}")


def test_a_captive_portal_in_the_grids_place_is_told(network: Network) -> None:
    node, far = network
    serve_grid_names(far)
    far.run(serve, redirect("http://login.example/"), 8080)
    assert told(node) == (
        "portal_found",
        f"{NAMED} answers with a page of a captive portal (302 to http://login.example/)",
    )


def test_a_certificate_that_is_not_the_grids_is_told(network: Network, tmp_path: Path) -> None:
    node, far = network
    serve_grid_names(far)
    far.run(serve, http(NO_FARM, "404 Not Found"), 443, Authority(tmp_path))
    trigger, reason = told(node, "https://grid.example")
    assert trigger == "tls_refused"
    assert reason.startswith("grid.example:443 shows a certificate that is not its own: ")


def test_a_portal_that_only_waits_on_the_plain_port_of_a_secure_grid_is_told(network: Network) -> None:
    node, far = network
    serve_grid_names(far)
    far.run(serve, redirect("http://login.example/"), 80)
    assert told(node, "https://grid.example") == (
        "portal_found",
        "http://grid.example answers with a page of a captive portal (302 to http://login.example/)",
    )


def test_a_gateway_that_leads_nowhere_is_told_from_a_dead_one(network: Network) -> None:
    node, far = network
    serve_grid_names(far)
    assert told(node) == (
        "endpoints_silent",
        f"192.0.2.1 answers ARP but {NAMED} does not answer through it: no connection: Connection refused",
    )


def test_the_nodes_grid_client_goes_where_the_uplinks_name_servers_lead(network: Network) -> None:
    node, far = network
    serve_grid_names(far)
    far.run(serve, http(b"[]"), 8080)
    node.shell("ip link del elsewhere; ip link set eth1 down; ip link set eth1 name zos; ip link set zos up")
    node.shell("ip address del 192.0.2.7/24 dev zos; ip address add 192.0.2.7/24 dev zos")
    node.shell("ip route replace default via 192.0.2.1 dev zos")
    assert node.run(farms_by_name) == 0


# What follows runs in a host.


def serve(answer: bytes, port: int, authority: Authority | None = None) -> None:
    """Gives every connection this answer from now on, on all addresses."""
    context = authority.serving("DNS:login.example") if authority else None
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=_serve_on, args=(listener, answer, context), daemon=True).start()


def _serve_on(listener: socket.socket, answer: bytes, context: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            connection.recv(65536)
            connection.sendall(answer)
        except OSError:
            continue
        finally:
            connection.close()


def walked(url: str, family: Family) -> Event:
    """What the edge answers to a path's two questions."""
    server, gateway = (SERVER, "192.0.2.1") if family is Family.IPV4 else (SERVER_IPV6, "2001:db8:1::1")
    servers: tuple[IPv4Address | IPv6Address, ...] = (ip_address(server),)

    async def story() -> Event:
        edge = ReachabilityEdge(Configuration(grid_url=url))
        asked = ResolveNames("eth1", family, servers)
        resolved = await edge.handlers[ResolveNames](Emission("path:eth1/ipv4", 1, asked))
        assert resolved is not None
        if not isinstance(resolved.data, Resolution):
            return resolved
        asking = AskEndpoints("eth1", family, servers, resolved.data, ip_address(gateway))
        answered = await edge.handlers[AskEndpoints](Emission("path:eth1/ipv4", 1, asking))
        assert answered is not None
        return answered

    return asyncio.run(story())


def farms_by_name() -> int:
    """How many farms the grid has, which only the uplink's name server can find."""

    async def story() -> int:
        edge = ReachabilityEdge(Configuration(grid_url=NAMED))
        asked = ResolveNames("zos", Family.IPV4, (ip_address(SERVER),))
        await edge.handlers[ResolveNames](Emission("path:eth1/ipv4", 1, asked))
        client = GridClient(NAMED, resolve=edge.resolve)
        try:
            return len(await client.farms())
        finally:
            await client.aclose()

    return asyncio.run(story())
