"""What a simulated node has beside its kernel and its store: an identity, and files that a reboot takes away."""

from __future__ import annotations

from tests.sim.grid import NODE


class RunDirectory:
    """`pathlib.Path`, as far as files go that are gone after a reboot."""

    def __init__(self, files: dict[str, bytes], name: str = "") -> None:
        self._files, self._name = files, name

    def __truediv__(self, name: str) -> RunDirectory:
        return RunDirectory(self._files, f"{self._name}/{name}")

    def mkdir(self, mode: int = 0o777, exist_ok: bool = False) -> None:
        """There is a directory wherever a file is written."""

    def read_bytes(self) -> bytes:
        if self._name not in self._files:
            raise FileNotFoundError(self._name)
        return self._files[self._name]

    def write_bytes(self, content: bytes) -> None:
        self._files[self._name] = content

    def unlink(self, missing_ok: bool = False) -> None:
        del missing_ok
        self._files.pop(self._name, None)


class SimIdentity:
    """`zosfsm.grid.identity.Identity`, which opens every seal: the hex of a key is its seal."""

    identifier = NODE

    def unseal(self, sealed: str) -> str:
        """The key inside."""
        return bytes.fromhex(sealed).decode()
