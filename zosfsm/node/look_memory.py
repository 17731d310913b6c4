"""What the last good look at each network resource has found, for the next life of the node. It says nothing by itself.

The fingerprints lie in the run directory, which is gone after a reboot as the networks are. Without them, or where they
cannot be read or written, everything is right and a start takes longer.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

log = logging.getLogger(__name__)


class LookMemory:
    """May be used from many threads. `directory` None: for this life alone."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._known: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def recall(self, identifier: str) -> bytes:
        """The fingerprint of that network at its last good look, which may be long ago; b"" where none is known."""
        with self._lock:
            if identifier not in self._known:
                self._known[identifier] = self._read(identifier)
            return self._known[identifier]

    def remember(self, identifier: str, fingerprint: bytes) -> None:
        """The network was made or adopted, and has this fingerprint; b"": it is not as it should be."""
        with self._lock:
            self._known.setdefault(identifier, b"")
            self._keep(identifier, fingerprint)

    def refresh(self, identifier: str, fingerprint: bytes) -> None:
        """The same of a look that nobody waits for: where the network was forgotten meanwhile, it stays so."""
        with self._lock:
            if identifier in self._known:
                self._keep(identifier, fingerprint)

    def forget(self, identifier: str) -> None:
        """The network is being removed."""
        with self._lock:
            self._known.pop(identifier, None)
            if self._directory is not None:
                try:
                    (self._directory / identifier).unlink(missing_ok=True)
                except OSError as error:
                    self._complain(error)

    def _keep(self, identifier: str, fingerprint: bytes) -> None:
        if self._known[identifier] == fingerprint:
            return
        self._known[identifier] = fingerprint
        if self._directory is not None:
            try:
                self._directory.mkdir(mode=0o700, exist_ok=True)
                # After a kill in the middle it is the fingerprint of nothing, and the look takes longer.
                (self._directory / identifier).write_bytes(fingerprint)
            except OSError as error:
                self._complain(error)

    def _read(self, identifier: str) -> bytes:
        if self._directory is None:
            return b""
        try:
            return (self._directory / identifier).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self._complain(error)
            return b""

    def _complain(self, error: OSError) -> None:
        log.warning("a later start will look at a network the long way", extra={"reason": str(error)})
