"""Remembers what the uplink's name servers have said, for everybody who does not ask them himself. Asks nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from zosfsm.kernel.bound_socket import Address
from zosfsm.kernel.name_resolution import Version

FRESH_SECONDS = 300.0


@define
class _Family:
    """What is known in one family of addresses; `hosts`: the addresses, and when they were learned."""

    servers: tuple[Address, ...] = ()
    hosts: dict[str, tuple[tuple[Address, ...], float]] = field(factory=dict)
    leads_on: bool = False


class KnownNames:
    """`now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._families: dict[Version, _Family] = {4: _Family(), 6: _Family()}

    def learn(self, version: Version, servers: tuple[Address, ...], hosts: Mapping[str, tuple[Address, ...]]) -> None:
        """These servers say that these are the hosts' addresses; what other servers have said is forgotten."""
        family = self._families[version]
        if family.servers != servers:
            family.servers, family.hosts = servers, {}
        family.hosts.update((host, (addresses, self._now())) for host, addresses in hosts.items())

    def judge(self, version: Version, leads_on: bool) -> None:
        """Whether the uplink led to the grid in this family when it was asked last."""
        self._families[version].leads_on = leads_on

    def fresh(self, host: str) -> Sequence[str]:
        """The host's addresses if they were learned in the last five minutes; else none."""
        youngest = max(
            (family.hosts[host][1] for family in self._families.values() if host in family.hosts), default=None
        )
        return self.any(host) if youngest is not None and self._now() - youngest < FRESH_SECONDS else ()

    def any(self, host: str) -> Sequence[str]:
        """The host's addresses, however old: those of a family that leads to the grid first, IPv4 before IPv6."""
        found = [family.hosts[host][0] for family in self._in_order() if host in family.hosts]
        return [str(address) for addresses in found for address in addresses]

    def name_servers(self) -> Mapping[Version, tuple[Address, ...]]:
        """The servers that were asked last, where there are any."""
        return {version: family.servers for version, family in self._families.items() if family.servers}

    def _in_order(self) -> list[_Family]:
        return sorted(self._families.values(), key=lambda family: not family.leads_on)
