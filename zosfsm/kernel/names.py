"""What may name a link or be its MAC. Pure: it asks no kernel whether such a link exists."""

from __future__ import annotations

import re

from zosfsm.kernel.errors import KernelError

_NAME_BYTES = 15  # IFNAMSIZ of linux/if.h, less the closing NUL
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def check_link_name(name: str) -> None:
    """Refuse what the kernel refuses as a link's name, before a truncated or surprising one is made."""
    if 0 < len(name.encode()) <= _NAME_BYTES and name not in (".", "..") and not _has_refused_character(name):
        return
    raise KernelError(
        f"use the link name {name!r}",
        f"expected 1 to {_NAME_BYTES} bytes without spaces, slashes or colons, and found {len(name.encode())}",
    )


def check_mac(mac: str) -> None:
    """Refuse what is not six bytes in hexadecimal joined by colons, or is a group's address and no single link's."""
    if _MAC.fullmatch(mac) and not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00":
        return
    raise KernelError(f"use the MAC {mac!r}", "expected the address of one link, such as 02:00:00:00:00:01")


def _has_refused_character(name: str) -> bool:
    return any(character in "/:\0" or character.isspace() for character in name)
