"""The file that says whom the node asks for names, in the form of resolv.conf(5), from several sources.

It must not judge name servers: whoever sets them has checked them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from itertools import zip_longest
from pathlib import Path

from attrs import frozen

Address = IPv4Address | IPv6Address

log = logging.getLogger(__name__)


@frozen
class _Said:
    servers: tuple[Address, ...]
    domain: str


class ResolverFile:
    """Each source ("ipv4", "ipv6") says what it knows, as often as it likes; the file has all of it.

    A file that cannot be written is logged and no more: who has an address can do without new name servers. The file
    is replaced as a whole, and only when it changes. For the loop's thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._said: dict[str, _Said] = {}

    def set(self, source: str, servers: Iterable[Address], domain: str = "") -> None:
        """This source's name servers and search domain from now on, in place of what it said before."""
        self._said[source] = _Said(tuple(servers), domain)
        self._write()

    def clear(self, source: str) -> None:
        """This source knows of no name servers any more."""
        self._said.pop(source, None)
        self._write()

    def remove(self) -> None:
        """There is no uplink any more: nobody is to be asked for names."""
        self._said.clear()
        self._write()

    @property
    def servers(self) -> tuple[Address, ...]:
        """All name servers that the sources know, in the order in which they are to be asked."""
        said = [self._said[source].servers for source in sorted(self._said)]
        # In turns: the C library asks no more than the first three.
        turns = zip_longest(*said)
        return tuple(dict.fromkeys(server for turn in turns for server in turn if server is not None))

    def _write(self) -> None:
        text = self._text()
        try:
            if not text:
                self.path.unlink(missing_ok=True)
                return
            if self.path.is_file() and self.path.read_bytes() == text.encode():
                return
            draft = self.path.with_name(f".{self.path.name}.new")
            draft.write_text(text, encoding="ascii")
            draft.replace(self.path)
        except OSError as error:
            log.warning("the name servers cannot be written", extra={"path": str(self.path), "reason": str(error)})

    def _text(self) -> str:
        said = [self._said[source] for source in sorted(self._said)]
        domains = dict.fromkeys(each.domain for each in said if each.domain)
        lines = [f"nameserver {server}" for server in self.servers]
        if domains:
            lines.append(f"search {' '.join(domains)}")
        return "".join(f"{line}\n" for line in lines)
