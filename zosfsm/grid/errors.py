"""What may go wrong at the grid's edge: one family of exceptions, each message one sentence for an operator."""

from __future__ import annotations

_LONGEST_SHOWN = 60


class GridError(Exception):
    """Anything that this room refuses or could not do."""


class GridUnreachable(GridError):
    """No answer came: no route, no connection, a time-out, a connection lost half-way."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"expected an answer from the grid, found none: {reason}")
        self.reason = reason


class GridRefused(GridError):
    """The grid answered, and said no; `text` is what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the grid refused with status {status}: {text or 'it gave no reason'}")
        self.status = status
        self.text = text


class GridAnswerInvalid(GridError):
    """Something answered, but not as a grid database does: a captive portal, a wrong server, a broken document."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"expected the answer of a grid database: {reason}")
        self.reason = reason


class GridAddressInvalid(GridError):
    """The configured address of the grid is no HTTP address."""


class DocumentInvalid(GridError):
    """A document with a field that is not as agreed; `field` is its path, as in `net_resources[0].subnet`."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"{field or 'document'}: expected {expected}, found {found}")
        self.field = field
        self.expected = expected
        self.found = found


class IdentityInvalid(GridError):
    """A seed file, a key or an identifier that cannot be used."""


class SecretUnreadable(GridError):
    """A sealed secret that this identity cannot open."""


class DatabaseUnavailable(GridError):
    """The grid server's storage cannot be opened."""


class DatabaseAddressInvalid(GridError):
    """The configured address of the grid server's storage is none."""


def shown(value: object) -> str:
    """A value from outside as one short printable piece of a sentence, however large or odd it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = ascii(value[: _LONGEST_SHOWN + 1]) if isinstance(value, (str, bytes)) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
