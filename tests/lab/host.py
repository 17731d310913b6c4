"""The host's own network as text, to be compared before and after."""

from __future__ import annotations

import subprocess


def host_picture() -> str:
    """Links, addresses, routes, rules, forwarding and firewall of the namespace that the tests run in."""
    commands = ("ip -o link", "ip -o address", "ip route show table all", "ip -6 route show table all", "ip rule")
    # Counted down by the kernel all the time, and said of addresses that router advertisements gave.
    told = "".join(_told(command.split()) for command in commands)
    told += "".join(_told(["sysctl", "-n", name]) for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"))
    told += _told(["nft", "list", "ruleset"])
    return "\n".join(line.partition("valid_lft")[0].partition(" expires")[0] for line in told.splitlines())


def _told(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
