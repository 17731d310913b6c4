"""Kernel parameters of one namespace, read and written through /proc/sys. It must not know which are wanted where."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.namespaces import entered

_ROOT = Path("/proc/sys")
_LONGEST_BYTES = 1 << 12
_NAME = re.compile(r"[A-Za-z0-9_.:/@-]+")


def read(name: str, namespace: str | None = None) -> str:
    """The value of `name` ("net.ipv4.ip_forward"), without the line's end.

    A dot inside a link's name is written as a slash, and slashes may be used throughout, as in sysctl(8).
    """
    with attempting(f"read sysctl {name}{_inside(namespace)}"), entered(namespace):
        return _content(str(_path(name)))


def values(names: tuple[str, ...]) -> tuple[str, ...]:
    """The values of `names` where the calling thread is, each without the line's end; as `read`, and cheaper."""
    with attempting("read the sysctls of a network namespace"):
        return tuple(_content(str(_path(name))) for name in names)


def write(name: str, value: str, namespace: str | None = None) -> None:
    """Set `name` to `value`; a parameter that already has it is not written again."""
    with attempting(f"set sysctl {name} to {value!r}{_inside(namespace)}"), entered(namespace):
        path = str(_path(name))
        if _content(path) == value:
            return
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, f"{value}\n".encode("ascii"))
        finally:
            os.close(handle)


def is_offered(name: str, namespace: str | None = None) -> bool:
    """Whether this kernel has `name` there; without IPv6 or without the link, its parameters are absent."""
    with attempting(f"look for sysctl {name}{_inside(namespace)}"), entered(namespace):
        return _path(name).exists()


def _content(path: str) -> str:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, _LONGEST_BYTES).decode("ascii").strip()
    finally:
        os.close(handle)


@lru_cache(maxsize=64)
def _path(name: str) -> Path:
    parts = _parts(name)
    if not _NAME.fullmatch(name) or any(part in ("", ".", "..") for part in parts):
        raise KernelError(f"use the sysctl name {name!r}", "expected words joined by dots, such as net.ipv4.ip_forward")
    return _ROOT.joinpath(*parts)


def _parts(name: str) -> list[str]:
    """Split like sysctl(8): the first separator found says whether dots or slashes separate; the other is swapped."""
    first_dot, first_slash = name.find("."), name.find("/")
    if first_slash != -1 and (first_dot == -1 or first_slash < first_dot):
        return name.split("/")
    return [part.replace("/", ".") for part in name.split(".")]


def _inside(namespace: str | None) -> str:
    return f" in network namespace {namespace}" if namespace else ""
