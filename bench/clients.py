"""The DHCP clients that are measured, each with the arguments that let it do its best. Starts nothing itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from bench.wire import CARD, FARM, GRID_URL, own_command

_DHCPCD_MEMORY = Path("/var/lib/dhcpcd")
_NETWORKD = "/lib/systemd/systemd-networkd"
_NETWORKD_CONFIGURATION = Path("/run/systemd/network")
_NETWORKD_MEMORY = Path("/run/systemd/netif")

_SCRIPT_OF_UDHCPC = """#!/bin/sh
case "$1" in
deconfig) ip link set "$interface" up ;;
bound) ip addr add "$ip/$mask" dev "$interface"; ip route add default via "$router" dev "$interface" ;;
esac
"""
_SCRIPT_OF_DHCLIENT = """#!/bin/sh
case "$reason" in
PREINIT) ip link set "$interface" up ;;
BOUND) ip addr add "$new_ip_address/$new_subnet_mask" dev "$interface"
ip route add default via "$new_routers" dev "$interface" ;;
esac
"""
# Without IPv6, as all the others; the MAC identifies it, since a machine may have no identity of its own.
_NETWORK_OF_NETWORKD = f"""[Match]
Name={CARD}
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
SendHostname=no
UseHostname=no
"""


@frozen
class Client:
    """A name, and the command that starts it with everything that it keeps in the given empty directory, or in /run.

    `most_runs`: one that takes long is not started in every round.
    """

    name: str
    command: Callable[[Path], list[str]]
    most_runs: int = 1000


def status_file(directory: Path) -> Path:
    """Where the node says whether it is online: in memory, as on a node."""
    return run_directory(directory) / "status.json"


def run_directory(directory: Path) -> Path:
    """Under the /run that is ours alone."""
    return Path("/run") / f"bench-{directory.name}"


def journal_file(directory: Path) -> Path:
    """Where the node writes its transitions."""
    return directory / "state" / "node.sqlite"


def _zosfsm(directory: Path) -> list[str]:
    return own_command(
        "run",
        "--state-dir",
        str(directory / "state"),
        "--run-dir",
        str(run_directory(directory)),
        "--cmdline",
        f"farmer_id={FARM} runmode=dev bcdb={GRID_URL}",
    )


def _udhcpc(directory: Path) -> list[str]:
    script = _script(directory, _SCRIPT_OF_UDHCPC)
    return ["udhcpc", "-f", "-n", "-i", CARD, "-s", script]


def _dhclient(directory: Path) -> list[str]:
    script = _script(directory, _SCRIPT_OF_DHCLIENT)
    leases, identifier = str(directory / "leases"), str(directory / "pid")
    return ["dhclient", "-4", "-1", "-d", "-cf", "/dev/null", "-sf", script, "-lf", leases, "-pf", identifier, CARD]


def _dhcpcd(*options: str) -> Callable[[Path], list[str]]:
    def command(_directory: Path) -> list[str]:
        # Its memory is in the one place that it knows, where isolation.cover_the_host has put nothing of the host's.
        for file in _DHCPCD_MEMORY.glob("*"):
            if file.is_file():
                file.unlink()
        return ["dhcpcd", "-B", "-4", "-f", "/dev/null", "-c", "/bin/true", *options, CARD]

    return command


def _networkd(_directory: Path) -> list[str]:
    shutil.rmtree(_NETWORKD_MEMORY, ignore_errors=True)
    _NETWORKD_CONFIGURATION.mkdir(parents=True, exist_ok=True)
    (_NETWORKD_CONFIGURATION / "10-bench.network").write_text(_NETWORK_OF_NETWORKD, encoding="utf-8")
    return [_NETWORKD]


def _script(directory: Path, text: str) -> str:
    path = directory / "script"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


ZOSFSM = Client("zosfsm run", _zosfsm)
UDHCPC = Client("udhcpc", _udhcpc)
DHCLIENT = Client("dhclient", _dhclient)
DHCPCD = Client("dhcpcd", _dhcpcd(), most_runs=3)
DHCPCD_WITHOUT_CHECK = Client("dhcpcd --noarp", _dhcpcd("-A"))
NETWORKD = Client("systemd-networkd", _networkd)
PEERS = (UDHCPC, DHCLIENT, NETWORKD, DHCPCD_WITHOUT_CHECK, DHCPCD)
