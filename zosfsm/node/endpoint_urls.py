"""The addresses of grids and of other endpoints, as people write them. Pure; asks nobody whether somebody is there."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

LONGEST_URL = 2048


def is_grid_url(text: str) -> bool:
    """Can a grid database be at this address?"""
    parts = _split(text)
    return parts is not None and parts.scheme in ("http", "https") and not parts.query


def is_endpoint_url(text: str) -> bool:
    """Can something be asked there whether it is reached: http://, https://, or tcp:// with a port and no path?"""
    parts = _split(text)
    if parts is None:
        return False
    if parts.scheme == "tcp":
        return parts.port is not None and parts.path in ("", "/") and not parts.query
    return parts.scheme in ("http", "https")


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    is_plain = not (parts.username or parts.password or parts.fragment) and len(text) <= LONGEST_URL
    return parts if has_place and is_plain and text.isascii() and text.isprintable() and " " not in text else None
