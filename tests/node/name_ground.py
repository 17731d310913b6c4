"""Nodes with one network's name server each, for tests: its namespace with the real firewall, a LAN and a mesh.

Each node is a host of its own. In it `n-abc` is the network's namespace, with the LAN's .1 and a cable in the place of
the tunnel; `c-one` and `c-two` are in the LAN. The node's own name server is a dnsmasq on its loopback.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import dns.message
import dns.query

from tests.kernel.separate_host import SeparateHost, run_shell, separate_hosts
from tests.waiting import until
from zosfsm.kernel import firewall, namespaces, rulesets
from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.name_exchange import PORT
from zosfsm.kernel.name_sockets import open_sockets
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.lifecycles.resource_data import NetworkFacts, PeerFacts
from zosfsm.names.server import NameServer
from zosfsm.node.name_making import NameMaking

IDENTIFIER = "abc"
NAMES = NetworkNames(IDENTIFIER)
RANGE = IPv4Network("10.1.0.0/16")
CLIENTS = {"c-one": 2, "c-two": 3}
UPSTREAM: tuple[Address, ...] = (IPv4Address("127.0.0.1"),)
PATIENCE_SECONDS = 20.0

_DNSMASQ = (
    "dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --listen-address=127.0.0.1 --bind-interfaces"
    " --host-record=grid.example,192.0.2.7,2001:db8::7 --local=/example/"
    " --txt-record=big.example,{} --cname=alias.example,grid.example"
)


def subnet(number: int) -> IPv4Network:
    return IPv4Network(f"10.1.{number}.0/24")


def first(number: int) -> str:
    """The .1 of a node's subnet."""
    return str(subnet(number)[1])


def first_ipv6(number: int) -> str:
    return str(NAMES.ula[int(subnet(number)[1])])


def facts(number: int, *others: int) -> NetworkFacts:
    peers = tuple(PeerFacts(f"key{other}", (subnet(other),), None) for other in others)
    return NetworkFacts(IDENTIFIER, "My Net", RANGE, subnet(number), 3000, "", "00", peers)


class NameNode:
    """One node of the mesh. `number` is that of its subnet."""

    def __init__(self, host: SeparateHost, number: int) -> None:
        self.host = host
        self.number = number
        host.run(_lay, number)

    def serve(self, network: NetworkFacts, names: Mapping[str, str], servers: tuple[Address, ...] = UPSTREAM) -> None:
        """The name server is up, with these workloads' addresses by their names."""
        self.host.run(_serve, network, dict(names), servers)

    def start_dnsmasq(self) -> None:
        self.host.run(_start, _DNSMASQ.format(",".join("x" * 250 for _ in range(12))).split())
        until(lambda: self.host.succeeds("ss -lntH sport = :53 | grep -q 127.0.0.1"), lambda: "dnsmasq does not start")

    def ask(
        self, name: str, kind: str = "A", *, client: str = "c-one", server: str = "", tcp: bool = False, **query: Any
    ) -> dns.message.Message:
        """What a workload is answered; TimeoutError's like where it is not."""
        wire = self.host.run(_ask, client, server or first(self.number), name, kind, tcp, query)
        return dns.message.from_wire(wire)

    def flood(self, client: str, wires: list[bytes], count: int, server: str = "") -> float:
        """Sends that many datagrams as fast as it can; answers the seconds that it took."""
        return float(self.host.run(_flood, client, server or first(self.number), wires, count))

    def counted(self) -> dict[str, int]:
        return dict(self.host.run(_counted))

    def close(self) -> None:
        """There is no name server any more."""
        self.host.run(_close)


@contextmanager
def name_nodes(count: int) -> Iterator[list[NameNode]]:
    """So many nodes, in one mesh, without name servers."""
    with separate_hosts(count) as hosts:
        nodes = [NameNode(host, number) for number, host in enumerate(hosts, start=1)]
        if count > 1:
            _join(nodes)
        yield nodes


def texts(response: dns.message.Message) -> list[str]:
    """The values of an answer."""
    return sorted(record.to_text() for records in response.answer for record in records)


def _join(nodes: list[NameNode]) -> None:
    """All tunnels end in one bridge, of the first node's host."""
    nodes[0].host.shell("ip link add mesh type bridge; ip link set mesh up")
    for node in nodes:
        ends = f"ip link add w-abc netns {node.host.pid} type veth peer name m{node.number} netns {nodes[0].host.pid}"
        subprocess.run(ends.split(), check=True)
        nodes[0].host.shell(f"ip link set m{node.number} master mesh up")
        node.host.shell("ip link set w-abc netns n-abc")
        node.host.shell(f"ip -n n-abc address add 100.64.1.{node.number}/16 dev w-abc; ip -n n-abc link set w-abc up")
        for other in nodes:
            if other is not node:
                node.host.shell(f"ip -n n-abc route add {subnet(other.number)} dev w-abc")
        # A tunnel knows who has which address; on a cable each answers for what is behind him.
        node.host.shell("ip netns exec n-abc sysctl -qw net.ipv4.conf.w-abc.proxy_arp=1")


# What follows runs in a host.

_made: dict[str, Any] = {}


def _lay(number: int) -> None:
    commands = ["ip link set lo up", "ip link add lan type bridge", "ip link set lan up"]
    namespaces.create("n-abc")
    commands += [
        "ip link add n-abc netns n-abc type veth peer name l-abc",
        "ip link set l-abc master lan up",
        "ip -n n-abc link set lo up",
        "ip netns exec n-abc sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.n-abc.accept_dad=0"
        " net.ipv4.ip_forward=1",
        "ip -n n-abc link set n-abc up",
        f"ip -n n-abc address add {first(number)}/24 dev n-abc",
        f"ip -n n-abc address add {first_ipv6(number)}/64 dev n-abc nodad",
    ]
    for client, last in CLIENTS.items():
        namespaces.create(client)
        address = subnet(number)[last]
        commands += [
            f"ip link add eth0 netns {client} type veth peer name v-{client}",
            f"ip link set v-{client} master lan up",
            f"ip -n {client} link set lo up",
            f"ip -n {client} link set eth0 up",
            f"ip -n {client} address add {address}/24 dev eth0",
            f"ip -n {client} address add {NAMES.ula[int(address)]}/64 dev eth0 nodad",
            f"ip -n {client} route add default via {first(number)}",
        ]
    done, output = run_shell("set -e; " + "; ".join(commands))
    assert done, output
    text = rulesets.resource(lan="n-abc", tunnel="w-abc", subnet=subnet(number), ula=NAMES.ula, network_range=RANGE)
    firewall.apply(text, "n-abc")


def _serve(network: NetworkFacts, names: dict[str, str], servers: tuple[Address, ...]) -> None:
    local = {name: IPv4Address(address) for name, address in names.items()}
    lan = network.subnet[1]
    sockets = open_sockets("n-abc", (lan, NAMES.ula[int(lan)]))

    async def make() -> NameServer:
        return NameMaking(lambda: servers, link="lo").made(network, sockets, lambda: local)

    _made["server"] = _in_loop(make)


def _in_loop(work: Callable[[], Any]) -> Any:
    if "loop" not in _made:
        _made["loop"] = asyncio.new_event_loop()
        threading.Thread(target=_made["loop"].run_forever, daemon=True).start()
    return asyncio.run_coroutine_threadsafe(work(), _made["loop"]).result(PATIENCE_SECONDS)


def _close() -> None:
    async def close() -> None:
        _made.pop("server").close()

    _in_loop(close)


def _flood(client: str, server: str, wires: list[bytes], count: int) -> float:
    with entered(client):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    began = time.monotonic()
    with sender:
        for number in range(count):
            sender.sendto(wires[number % len(wires)], (server, PORT))
    return time.monotonic() - began


def _counted() -> dict[str, int]:
    return dict(_made["server"].counted)


def _start(words: list[str]) -> None:
    with Path("/run/dnsmasq.log").open("ab") as output:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _ask(client: str, server: str, name: str, kind: str, tcp: bool, options: dict[str, Any]) -> bytes:
    query = dns.message.make_query(name, kind, **options)
    with entered(client):
        ask = dns.query.tcp if tcp else dns.query.udp
        response = ask(query, server, timeout=PATIENCE_SECONDS)
    return response.to_wire()
