"""A lease on a link of the real kernel: put there, on trial or for good, used, and taken off again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from attrs import evolve

from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.lifecycles.lease_client import earlier_lease
from zosfsm.kernel.routes import TRIAL_METRIC
from zosfsm.lifecycles.lease_terms import Lease, Route
from zosfsm.node import lease_installation

pytestmark = pytest.mark.kernel

GATEWAY = IPv4Address("203.0.113.1")
SERVICE = ("198.51.100.1", 7)
LEASE = earlier_lease(address=IPv4Interface("203.0.113.7/24"), server=GATEWAY, router=GATEWAY)
PATIENCE_SECONDS = 20
SO_BINDTODEVICE = 25


class Machine:
    """A node's machine. Each network has a gateway at 203.0.113.1 and behind it a service that says its name."""

    def __init__(self, host: SeparateHost) -> None:
        self.host = host

    def attach(self, link: str, network: SeparateHost, name: str) -> None:
        self.host.shell(f"ip link add {link} type veth peer name far0 netns {network.pid}; ip link set {link} up")
        network.shell("ip link set lo up; ip link set far0 up; ip address add 203.0.113.1/24 dev far0")
        network.shell(f"ip address add {SERVICE[0]}/32 dev lo")
        network.run(serve, name)

    def install(self, link: str, lease: Lease = LEASE) -> None:
        self.host.run(lease_installation.install, link, None, lease)

    def withdraw(self, link: str, lease: Lease = LEASE) -> None:
        self.host.run(lease_installation.withdraw, link, None, lease)

    def begin_trial(self, link: str, lease: Lease = LEASE) -> None:
        self.host.run(lease_installation.install_trial, link, lease)

    def end_trial(self, link: str, lease: Lease = LEASE) -> None:
        self.host.run(lease_installation.clear_trial, link, lease)

    def asks(self, link: str | None, destination: str = SERVICE[0]) -> str:
        """The name of the network that is reached over `link`, or by the node's own way (None)."""
        return str(self.host.run(ask, link, destination))

    def routes(self, link: str) -> set[str]:
        return {line.strip() for line in self.host.shell(f"ip -4 route show table main dev {link}").splitlines()}

    def addresses(self, link: str) -> list[str]:
        return self.host.shell(f"ip -4 -o address show dev {link} | awk '{{print $4}}'").split()

    def rp_filter(self, link: str) -> str:
        return self.host.shell(f"cat /proc/sys/net/ipv4/conf/{link}/rp_filter").strip()

    def index(self, link: str) -> int:
        return int(self.host.shell(f"cat /sys/class/net/{link}/ifindex"))


def serve(name: str) -> None:
    """In a network: says its name to whoever connects; ends with the host."""
    server = socket.create_server(("", SERVICE[1]))

    def answer() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.sendall(name.encode())

    threading.Thread(target=answer, daemon=True).start()


def ask(link: str | None, destination: str) -> str:
    with socket.socket() as client:
        client.settimeout(PATIENCE_SECONDS)
        if link is not None:
            client.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, link.encode())
        client.connect((destination, SERVICE[1]))
        return client.recv(100).decode()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """eth1 leads to the network "one", eth2 to "two"; they look alike. Reverse path filtering is strict by default."""
    with separate_hosts(3) as (host, one, two):
        host.shell("sysctl -q net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.all.rp_filter=1; ip link set lo up")
        made = Machine(host)
        made.attach("eth1", one, "one")
        made.attach("eth2", two, "two")
        yield made


# For good


def test_an_installed_lease_is_there_once_however_often_and_gone_after_its_withdrawal(machine: Machine) -> None:
    lease = evolve(
        LEASE,
        mtu=1400,
        routes=(
            Route(IPv4Network("192.0.2.0/24"), IPv4Address("198.18.0.1")),
            Route(IPv4Network("198.18.0.0/24"), None),
        ),
    )
    for _ in range(2):
        machine.install("eth1", lease)
        assert machine.addresses("eth1") == ["203.0.113.7/24"]
        assert machine.routes("eth1") == {
            "default via 203.0.113.1 proto static src 203.0.113.7",
            "198.18.0.0/24 proto static scope link src 203.0.113.7",
            "192.0.2.0/24 via 198.18.0.1 proto static src 203.0.113.7",
            "203.0.113.0/24 proto kernel scope link src 203.0.113.7",
        }
        assert "mtu 1400" in machine.host.shell("ip -o link show eth1")
    assert machine.asks(None) == "one"
    for _ in range(2):
        machine.withdraw("eth1", lease)
        assert (machine.addresses("eth1"), machine.routes("eth1")) == ([], set())


def test_a_lease_on_other_terms_leaves_nothing_of_the_one_before(machine: Machine) -> None:
    machine.install("eth1", evolve(LEASE, routes=(Route(IPv4Network("192.0.2.0/24"), GATEWAY),)))
    machine.host.shell("ip route add 192.0.2.0/25 via 203.0.113.1 dev eth1 metric 5")
    wider = evolve(LEASE, address=IPv4Interface("203.0.113.7/23"), router=IPv4Address("203.0.112.9"))
    machine.install("eth1", wider)
    assert machine.routes("eth1") == {
        "default via 203.0.112.9 proto static src 203.0.113.7",
        "203.0.112.0/23 proto kernel scope link src 203.0.113.7",
    }
    other = evolve(LEASE, address=IPv4Interface("203.0.113.8/24"), router=None)
    machine.install("eth1", other)
    assert machine.addresses("eth1") == ["203.0.113.8/24"]
    assert machine.routes("eth1") == {"203.0.113.0/24 proto kernel scope link src 203.0.113.8"}


def test_the_mtu_of_a_bridge_is_the_leases_and_no_more_than_its_ports_and_theirs_without_one(machine: Machine) -> None:
    machine.host.shell("ip link add zos type bridge; ip link set eth1 mtu 1450 master zos; ip link set zos up")
    for wanted, found in ((9000, 1450), (1400, 1400), (None, 1450), (1400, 1400)):
        machine.install("zos", evolve(LEASE, mtu=wanted))
        assert f"mtu {found} " in machine.host.shell("ip -o link show zos")
    machine.withdraw("zos", LEASE)
    assert "mtu 1450 " in machine.host.shell("ip -o link show zos")


def test_an_mtu_that_would_cost_the_link_its_ipv6_is_for_the_leases_routes_alone(machine: Machine) -> None:
    machine.install("eth1", evolve(LEASE, mtu=576))
    assert "mtu 1280 " in machine.host.shell("ip -o link show eth1")
    assert "default via 203.0.113.1 proto static src 203.0.113.7 mtu 576" in machine.routes("eth1")
    machine.install("eth1", LEASE)
    assert "default via 203.0.113.1 proto static src 203.0.113.7" in machine.routes("eth1")


def test_a_gateway_outside_of_the_subnet_is_reached_over_the_link(machine: Machine) -> None:
    lease = evolve(LEASE, address=IPv4Interface("192.0.2.7/32"))
    machine.install("eth1", lease)
    assert machine.routes("eth1") == {
        "default via 203.0.113.1 proto static src 192.0.2.7",
        "203.0.113.1 proto static scope link src 192.0.2.7",
    }
    machine.withdraw("eth1", lease)
    assert machine.routes("eth1") == set()


def test_a_withdrawal_leaves_what_a_newer_lease_has_put_on_the_link(machine: Machine) -> None:
    newer = evolve(LEASE, address=IPv4Interface("203.0.113.8/24"))
    machine.install("eth1")
    machine.install("eth1", newer)
    machine.withdraw("eth1")
    assert machine.addresses("eth1") == ["203.0.113.8/24"]
    assert "default via 203.0.113.1 proto static src 203.0.113.8" in machine.routes("eth1")
    assert machine.asks(None) == "one"


def test_a_withdrawal_takes_its_routes_though_another_link_has_the_same_address(machine: Machine) -> None:
    machine.begin_trial("eth2")
    machine.install("eth1")
    machine.withdraw("eth1")
    assert (machine.addresses("eth1"), machine.routes("eth1")) == ([], set())
    assert machine.asks("eth2") == "two"


def test_what_is_to_be_taken_from_a_link_that_is_gone_is_taken(machine: Machine) -> None:
    machine.withdraw("eth9")
    machine.end_trial("eth9")


# On trial


@pytest.mark.parametrize("other", ["203.0.113.7/24", "203.0.113.8/24"])
def test_two_nics_on_trial_on_networks_that_look_alike_reach_each_their_own(machine: Machine, other: str) -> None:
    second = evolve(LEASE, address=IPv4Interface(other))
    for _ in range(2):
        machine.begin_trial("eth1")
        machine.begin_trial("eth2", second)
    assert machine.asks("eth1") == "one"
    assert machine.asks("eth2") == "two"
    assert machine.asks("eth1", str(GATEWAY)) == "one"
    assert machine.asks("eth2", str(GATEWAY)) == "two"
    machine.end_trial("eth1")
    assert machine.asks("eth2") == "two"


def test_the_nodes_own_traffic_notices_no_trial(machine: Machine) -> None:
    machine.install("eth1")
    before = machine.routes("eth1")
    machine.begin_trial("eth2")
    assert machine.routes("eth1") == before
    assert machine.asks(None) == machine.asks(None, str(GATEWAY)) == "one"
    assert machine.asks("eth2") == machine.asks("eth2", str(GATEWAY)) == "two"
    assert machine.host.shell(f"ip route get {SERVICE[0]}").split()[:7] == [
        *(SERVICE[0], "via", str(GATEWAY), "dev", "eth1", "src", "203.0.113.7")
    ]
    machine.end_trial("eth2")
    assert machine.asks(None) == "one"


def test_a_trial_leaves_the_link_as_it_was(machine: Machine) -> None:
    lease = evolve(LEASE, mtu=1400, routes=(Route(IPv4Network("192.0.2.0/24"), GATEWAY),))
    machine.begin_trial("eth2", lease)
    metric = TRIAL_METRIC + machine.index("eth2")
    assert machine.routes("eth2") == {
        f"default via 203.0.113.1 proto static src 203.0.113.7 metric {metric} mtu 1400",
        f"192.0.2.0/24 via 203.0.113.1 proto static src 203.0.113.7 metric {metric} mtu 1400",
        f"203.0.113.0/24 proto static scope link src 203.0.113.7 metric {metric} mtu 1400",
    }
    assert machine.rp_filter("eth2") == "2"
    for _ in range(2):
        machine.end_trial("eth2", lease)
        assert (machine.addresses("eth2"), machine.routes("eth2"), machine.rp_filter("eth2")) == ([], set(), "1")
    assert "mtu 1500" in machine.host.shell("ip -o link show eth2")


def test_a_gateway_outside_of_the_subnet_serves_a_trial_too(machine: Machine) -> None:
    machine.begin_trial("eth2", evolve(LEASE, address=IPv4Interface("203.0.113.7/32")))
    assert machine.asks("eth2") == "two"


def test_two_nics_on_one_network_are_each_found_at_their_own_mac() -> None:
    with separate_hosts(2) as (host, network):
        made = Machine(host)
        network.shell("ip link set lo up; ip link add lan type bridge; ip link set lan up")
        network.shell(f"ip address add 203.0.113.1/24 dev lan; ip address add {SERVICE[0]}/32 dev lo")
        for link in ("eth1", "eth2"):
            host.shell(f"ip link add {link} type veth peer name far-{link} netns {network.pid}; ip link set {link} up")
            network.shell(f"ip link set far-{link} master lan; ip link set far-{link} up")
        network.run(serve, "one")

        def found_at_its_own(link: str, address: str) -> bool:
            # The gateway asks anew, by broadcast, and takes the first answer that comes.
            network.shell(f"ip neigh flush all; ping -c1 -W{PATIENCE_SECONDS} {address}")
            mac = host.shell(f"cat /sys/class/net/{link}/address").strip()
            return mac in network.shell(f"ip neigh show {address}")

        made.install("eth1")
        assert all(found_at_its_own("eth1", "203.0.113.7") for _ in range(5))
        made.begin_trial("eth2", evolve(LEASE, address=IPv4Interface("203.0.113.8/24")))
        assert made.asks(None) == made.asks("eth2") == "one"
        assert all(found_at_its_own("eth1", "203.0.113.7") for _ in range(5))
        assert all(found_at_its_own("eth2", "203.0.113.8") for _ in range(5))
        assert made.asks("eth2") == "one"
        host.run(lease_installation.give_back)
        assert host.shell("cat /proc/sys/net/ipv4/conf/all/arp_ignore").strip() == "0"


def test_an_mtu_that_the_link_cannot_have_does_not_cost_the_lease(machine: Machine) -> None:
    machine.host.shell("ip link add public link eth1 type macvlan mode bridge; ip link set public up")
    machine.install("public", evolve(LEASE, mtu=9000))
    assert "mtu 1500 " in machine.host.shell("ip -o link show public")
    assert machine.asks(None) == "one"
