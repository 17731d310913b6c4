"""Whom this room believes over TLS: the one set of authorities for every conversation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@cache
def trusted() -> ssl.SSLContext:
    """The authorities of certifi, or those that SSL_CERT_FILE or SSL_CERT_DIR name; some 50 ms the first time.

    Raises OSError where they name what cannot be read.
    """
    import httpx

    return httpx.create_ssl_context()
