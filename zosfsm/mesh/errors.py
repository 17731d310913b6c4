"""What the planning of a network can refuse: each refusal is one sentence for the user."""

from __future__ import annotations


class MeshError(Exception):
    """Whatever this room refuses; its text is one sentence."""


class DocumentInvalid(MeshError):
    """A document does not say what it has to: names the document, the key, what was expected and what was found."""

    def __init__(self, source: str, key: str, expected: str, found: str) -> None:
        place = f"{source}: {key}" if key else source
        super().__init__(f"{place}: expected {expected}, found {found}.")
        self.source = source
        self.key = key
        self.expected = expected
        self.found = found


class RequestInvalid(DocumentInvalid):
    """The user's TOML file is wrong."""


class MemoryInvalid(DocumentInvalid):
    """The remembered state beside the user's file is wrong."""


class ReservationInvalid(DocumentInvalid):
    """The `data` of a network reservation is wrong."""


class PlanImpossible(MeshError):
    """The request is well formed, but no network can be made of it on these nodes."""
