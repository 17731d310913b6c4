"""The ground of one wiring: the node's machine, a router behind each NIC, and the internet, each a host of its own.

A host has its network and mount namespaces; with it goes everything that ran there. Routers lead to the internet over
transit links of their own, 172.31.N.0/30 and fd00:N::/64.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.wiring.dhcp_server import serve_dhcp
from tests.e2e.wiring.networks import Behind, Dnsmasq, Internet, Lan, Names, NoCable, Scripted
from tests.e2e.wiring.places import (
    GRID_HOST,
    GRID_IPV4,
    GRID_IPV6,
    GRID_PORT,
    LIE,
    OTHER_IPV4,
    ROUTER_LINK_LOCAL,
    Place,
)
from tests.e2e.wiring.processes import Process, die_with_parent, program, serve
from tests.e2e.wiring.web_servers import serve_false_certificate, serve_grid, serve_portal
from tests.kernel.separate_host import SeparateHost, separate_hosts

_TLS_PORT = 8443
_PORTAL_PORT = 80
_RADVD = """
interface {link} {{
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 1800;
    AdvIntervalOpt on; MinDelayBetweenRAs 0.03;
    prefix {prefix} {{ AdvOnLink on; AdvAutonomous on; }};
    RDNSS {server} {{ AdvRDNSSLifetime 1800; }};
}};
"""
_FORWARD = "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
# A host that is found by neighbour discovery at once, instead of after having looked for duplicates of itself.
_NO_DAD = "sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"


class Ground:
    """What the story of a wiring does to it."""

    def __init__(
        self, behind: tuple[Behind, ...], internet: Internet, hosts: tuple[SeparateHost, ...], at: Path
    ) -> None:
        self.directory = at
        self._hosts = hosts
        self.machine, self._world, *routers = hosts
        self._behind = dict(enumerate(behind))
        self._kind = internet
        self._routers = dict(
            zip((n for n, what in self._behind.items() if isinstance(what, Lan)), routers, strict=True)
        )
        self._dhcp: dict[int, Process] = {}
        self._radvd: dict[int, Process] = {}
        self._grid: Process | None = None

    def build(self) -> None:
        """Cables, addresses, routes, and everybody who serves something."""
        self.machine.shell("ip link set lo up")
        # The host's own name servers are none of the node's business.
        self.machine.shell("[ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf")
        lo = " ".join(f"ip address add {address} dev lo;" for address in (GRID_IPV4, OTHER_IPV4, GRID_IPV6))
        self._world.shell(f"{_FORWARD}; {_NO_DAD}; ip link set lo up; {lo}")
        for number in self._behind:
            self._lay_cable(Place(number))
        if self._kind is Internet.GRID:
            self.start_grid()
        if self._kind is Internet.FALSE_CERTIFICATE:
            serve(self._world, self._log("tls"), serve_false_certificate, self.directory, _TLS_PORT)

    def start_grid(self) -> None:
        """Returns once it answers."""
        self._grid = serve(self._world, self._log("grid"), serve_grid, self.directory / "grid.sqlite", GRID_PORT)

    def stop_grid(self) -> None:
        """Its process is gone: who asks is refused, who was asking is cut off."""
        assert self._grid is not None
        self._grid.stop(signal.SIGKILL)

    def pull(self, place: Place) -> None:
        """The cable, at the far end: the NIC loses its carrier."""
        self._far_host(place).shell(f"ip link set {place.far_end} down")

    def plug(self, place: Place) -> None:
        """Carrier again. Of the far end's configuration, IPv6 addresses are lost with it."""
        self._far_host(place).shell(f"ip link set {place.far_end} up")
        if place.number in self._routers:
            self._routers[place.number].shell(self._ipv6_addresses(place))

    def add_nic(self, place: Place) -> None:
        """A NIC is put into the running machine, with nothing plugged in."""
        self._behind[place.number] = NoCable()
        self._lay_cable(place)

    def remove_nic(self, place: Place) -> None:
        self.machine.shell(f"ip link delete {place.nic}")

    def silence_router(self, place: Place, families: str = "arp, ip, ip6") -> None:
        """The router hears nothing of these any more (as nft names them); the carrier stays."""
        chain = f"type filter hook ingress device {place.far_end} priority 0;"
        rule = f"add rule netdev wiring dead meta protocol {{ {families} }} drop"
        self._routers[place.number].shell(
            f"nft 'add table netdev wiring; add chain netdev wiring dead {{ {chain} }}; {rule}'"
        )

    def wake_router(self, place: Place) -> None:
        self._routers[place.number].shell("nft delete table netdev wiring")

    def cut_upstream(self, place: Place) -> None:
        """The router has no route any more, and says so to everybody who asks (ICMP)."""
        self._routers[place.number].shell("ip route delete default; ip -6 route delete default")
        # Who waits for an answer would wait until it gives up: the node is to notice at once, by a connection reset.
        self._world.shell(f"ss -K sport = :{GRID_PORT} >/dev/null 2>&1 || true")

    def heal_upstream(self, place: Place) -> None:
        self._routers[place.number].shell(_default_routes(place))

    def start_dhcp(self, place: Place, dhcp: Dnsmasq | Scripted) -> None:
        host, link, log = self._routers[place.number], self._lan_link(place), self._log(f"dhcp{place.number}")
        if isinstance(dhcp, Scripted):
            host.shell(f"ip address replace {place.host(dhcp.server).ip}/32 dev lo")
            self._dhcp[place.number] = serve(host, log, serve_dhcp, dhcp, place, self._mac(place), link)
            return
        pool = f"{place.host(dhcp.first).ip},{place.host(dhcp.first + 40).ip}"
        words = [*_dnsmasq(link), "--port=0", "--dhcp-authoritative", "--log-dhcp", f"--dhcp-range={pool},1h"]
        words += [f"--dhcp-leasefile={self.directory}/leases{place.number}", f"--dhcp-option=6,{place.router}"]
        # Without a value dnsmasq leaves the option out; unmentioned it would name itself.
        words.append("--dhcp-option=3" if dhcp.router is None else f"--dhcp-option=3,{place.host(dhcp.router).ip}")
        words += [] if dhcp.slow else ["--no-ping"]
        self._dhcp[place.number] = program(host, words, log)

    def stop_dhcp(self, place: Place) -> None:
        self._dhcp.pop(place.number).stop(signal.SIGKILL)

    def dhcp_heard(self, place: Place, kind: str) -> int:
        """How many messages of that kind (`DISCOVER`) the DHCP servers there have heard from the NIC's MAC."""
        mac = self._mac(place)
        lines = self._log(f"dhcp{place.number}").read_text(encoding="utf-8", errors="replace").splitlines()
        return sum(mac in line and (f"DHCP{kind}(" in line or f"heard {kind} " in line) for line in lines)

    def start_radvd(self, place: Place) -> None:
        link = self._lan_link(place)
        configuration = self.directory / f"radvd{place.number}.conf"
        configuration.write_text(
            _RADVD.format(link=link, prefix=place.ipv6, server=place.router_ipv6), encoding="ascii"
        )
        words = ["radvd", "-n", "-m", "stderr", "-C", str(configuration), "-p", f"/run/radvd{place.number}.pid"]
        self._radvd[place.number] = program(self._routers[place.number], words, self._log(f"radvd{place.number}"))

    def stop_radvd(self, place: Place) -> None:
        """It says good-bye: an advertisement with lifetime 0 (RFC 4861 6.2.5)."""
        self._radvd.pop(place.number).stop()

    def hosts(self) -> tuple[SeparateHost, ...]:
        """All of them: the machine, the internet, the routers."""
        return self._hosts

    def logs(self) -> str:
        """The last lines of everybody who serves, for whoever looks for a reason."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-1200:]}"
            for path in sorted(self.directory.glob("*.log"))
            if path.stem != "node"
        )

    def _lay_cable(self, place: Place) -> None:
        far = self._far_host(place)
        self.machine.shell(f"ip link add {place.nic} type veth peer name {place.far_end} netns {far.pid}")
        behind = self._behind[place.number]
        if isinstance(behind, Lan):
            self._build_lan(place, behind)
        elif not isinstance(behind, NoCable):
            far.shell(f"sysctl -q -w net.ipv6.conf.{place.far_end}.disable_ipv6=1; ip link set {place.far_end} up")

    def _build_lan(self, place: Place, lan: Lan) -> None:
        router, number = self._routers[place.number], place.number
        # By default a router says only once a second that it has no route; then a node would wait for TCP to give up.
        router.shell(f"{_FORWARD} net.ipv4.icmp_ratelimit=0; {_NO_DAD}; ip link set lo up")
        self._world.shell(
            f"ip link add to{number} type veth peer name world netns {router.pid}; ip link set to{number} up;"
            f"ip address add 172.31.{number}.1/30 dev to{number}; ip address add fd00:{number}::1/64 dev to{number};"
            f"ip route add {place.ipv4} via 172.31.{number}.2; ip route add {place.ipv6} via fd00:{number}::2"
        )
        router.shell(
            f"ip link set world up; ip address add 172.31.{number}.2/30 dev world;"
            f"ip address add fd00:{number}::2/64 dev world; {_default_routes(place)}"
        )
        if not lan.upstream:
            self.cut_upstream(place)
        if lan.vlan is not None:
            _untag(router, place, lan.vlan)
        link = self._lan_link(place)
        router.shell(f"sysctl -q -w net.ipv6.conf.{link}.addr_gen_mode=1; ip address add {place.host(1)} dev {link}")
        router.shell(f"ip link set {link} up; {self._ipv6_addresses(place)}")
        router.shell(f"ip link set {place.far_end} {'up' if lan.plugged else 'down'}")
        if lan.squatter is not None:
            router.shell(f"ip address add {place.host(lan.squatter).ip}/32 dev lo")
        self._serve_lan(place, lan)

    def _serve_lan(self, place: Place, lan: Lan) -> None:
        router = self._routers[place.number]
        if lan.dhcp is not None:
            self.start_dhcp(place, lan.dhcp)
        if lan.ipv6:
            self.start_radvd(place)
        if lan.names is Names.SILENT:
            chain = "type filter hook input priority 0;"
            router.shell(
                f"nft 'add table ip names; add chain ip names in {{ {chain} }}; add rule ip names in udp dport 53 drop'"
            )
        else:
            words = [*_dnsmasq(self._lan_link(place)), "--no-hosts", *_names(lan.names)]
            program(router, words, self._log(f"names{place.number}"))
        if lan.portal:
            serve(router, self._log(f"portal{place.number}"), serve_portal, _PORTAL_PORT)
            chain = "type nat hook prerouting priority dstnat;"
            redirect = f"add rule ip wiring portal tcp dport {GRID_PORT} redirect to :{_PORTAL_PORT}"
            router.shell(f"nft 'add table ip wiring; add chain ip wiring portal {{ {chain} }}; {redirect}'")

    def _ipv6_addresses(self, place: Place) -> str:
        link = self._lan_link(place)
        addresses = (f"{ROUTER_LINK_LOCAL}/64", f"{place.router_ipv6}/64")
        return "; ".join(f"ip address replace {address} dev {link} nodad" for address in addresses)

    def _mac(self, place: Place) -> str:
        return self.machine.shell(f"cat /sys/class/net/{place.nic}/address").strip()

    def _lan_link(self, place: Place) -> str:
        behind = self._behind[place.number]
        assert isinstance(behind, Lan)
        return place.far_end if behind.vlan is None else "lan"

    def _far_host(self, place: Place) -> SeparateHost:
        return self._routers.get(place.number, self._world)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


@contextmanager
def laid_ground(behind: tuple[Behind, ...], internet: Internet, directory: Path) -> Iterator[Ground]:
    """All of it, removed afterwards however that ended."""
    count = sum(isinstance(what, Lan) for what in behind)
    with separate_hosts(2 + count) as hosts:
        for host in hosts:
            host.run(die_with_parent)
        ground = Ground(behind, internet, hosts, directory)
        ground.build()
        yield ground


def can_do_vlans() -> bool:
    """Whether this kernel has 8021q, or bridges that filter VLANs."""
    with separate_hosts(1) as (host,):
        return any(host.succeeds(command) for command in (_WITH_8021Q.format(link="lo", vlan=1), _FILTERING_BRIDGE))


_WITH_8021Q = "ip link add link {link} name lan type vlan id {vlan}"
_FILTERING_BRIDGE = "ip link add lan type bridge vlan_filtering 1 vlan_default_pvid 0"


def _untag(router: SeparateHost, place: Place, vlan: int) -> None:
    """The link `lan` has the VLAN untagged, by whatever this kernel can do."""
    far = place.far_end
    if router.succeeds(_WITH_8021Q.format(link=far, vlan=vlan)):
        return
    router.shell(
        f"{_FILTERING_BRIDGE}; ip link set {far} master lan; bridge vlan add dev {far} vid {vlan};"
        f"bridge vlan add dev lan vid {vlan} self pvid untagged"
    )


def _default_routes(place: Place) -> str:
    gateways = f"172.31.{place.number}.1", f"fd00:{place.number}::1"
    return f"ip route replace default via {gateways[0]}; ip -6 route replace default via {gateways[1]}"


def _dnsmasq(link: str) -> list[str]:
    words = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--log-facility=-",
        "--pid-file=",
    ]
    # A process that changes its user or group forgets that it is to die with its parent (prctl(2)).
    words += ["--user=root", "--group=root"]
    return [*words, f"--interface={link}", "--except-interface=lo", "--bind-dynamic"]


def _names(names: Names) -> list[str]:
    if names is Names.LYING:
        return [f"--address=/#/{LIE}"]
    known = [f"--address=/{GRID_HOST}/{address}" for address in (GRID_IPV4, GRID_IPV6)]
    # An empty address stands for "no such name".
    return ["--address=/#/", *(known if names is Names.HONEST else [])]
