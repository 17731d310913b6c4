"""How people name a NIC: by its name or by its MAC address. Pure; asks no kernel whether there is such a NIC."""

from __future__ import annotations

from collections.abc import Callable

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.names import check_link_name, check_mac


def nic_reference(text: str) -> str | None:
    """A link's name as it is, a MAC address in lower case with colons (it may have hyphens); None for neither."""
    mac = text.replace("-", ":").lower()
    if _is(check_mac, mac):
        return mac
    if _is(check_link_name, text) and text.isprintable() and "," not in text:
        return text
    return None


def _is(check: Callable[[str], None], text: str) -> bool:
    try:
        check(text)
    except (KernelError, UnicodeEncodeError):
        return False
    return True
