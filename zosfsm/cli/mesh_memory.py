"""The file that remembers a network's keys, ports and reservations; written whole or not at all, mode 0600."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zosfsm.cli.errors import USAGE, CommandFailed
from zosfsm.mesh.errors import MemoryInvalid
from zosfsm.mesh.memory import Memory, decode, encode

_LARGEST = 64 << 20


def memory_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.state.json")


def load(file: Path) -> Memory | None:
    """None where nothing is remembered. A broken file is never taken for an empty one: it may hold the only keys."""
    path = memory_path(file)
    try:
        return decode(read_text(path), str(path))
    except FileNotFoundError:
        return None
    except MemoryInvalid as invalid:
        raise CommandFailed(f"{invalid} Restore it, or remove it to begin anew with other keys.", USAGE) from None


def save(file: Path, memory: Memory) -> None:
    write_private(memory_path(file), encode(memory))


def write_private(path: Path, text: str) -> None:
    """Replaces the file, mode 0600; after a power cut either the old or the new one is there."""
    beside = path.with_name(f".{path.name}.new")
    try:
        _write(beside, text.encode())
        beside.replace(path)
        _sync_directory(path.parent)
    except OSError as wrong:
        raise CommandFailed(f"expected to write {path}, found: {wrong.strerror}; nothing more was done.") from wrong


def forget(file: Path) -> None:
    memory_path(file).unlink(missing_ok=True)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Two commands at once on one file would give one network two sets of keys."""
    with _opened(file) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(f"another command is working on {file}: wait until it ends.") from None
        yield


def read_text(path: Path) -> str:
    """A text file of the user's; FileNotFoundError is left to the caller, who knows what its absence means."""
    try:
        with open(path, "rb") as opened:
            content = opened.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise CommandFailed(f"expected {path} to be at most 64 MiB, found more.", USAGE)
        return content.decode()
    except FileNotFoundError:
        raise
    except OSError as wrong:
        raise CommandFailed(f"expected to read {path}, found: {wrong.strerror}.", USAGE) from wrong
    except UnicodeDecodeError:
        raise CommandFailed(f"expected UTF-8 text in {path}, found other bytes.", USAGE) from None


def _opened(file: Path) -> BinaryIO:
    try:
        return open(file, "rb")
    except OSError as wrong:
        raise CommandFailed(f"expected the network's TOML file {file}, found: {wrong.strerror}.", USAGE) from wrong


def _write(path: Path, content: bytes) -> None:
    # One left by an interrupted command may have any mode: it must not be written through.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
