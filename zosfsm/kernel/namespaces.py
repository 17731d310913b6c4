"""Named network namespaces: made, removed, listed and entered. It must not touch links, addresses or mount namespaces.

Names live in /run/netns as bind mounts of nsfs files, as `ip netns` keeps them (ip-netns(8), network_namespaces(7)).
All of it is done in the calling thread: nothing forks, and a thread always returns to where it came from.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zosfsm.kernel import ownership
from zosfsm.kernel.errors import KernelError, attempting, reason

DIRECTORY = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SHARED = 1 << 20
_MNT_DETACH = 2
_NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
_OWN = Path("/proc/thread-self/ns/net")

_libc = ctypes.CDLL(None, use_errno=True)


def create(name: str) -> None:
    """Make the namespace `name`, with only `lo`, down and marked as ours; one of ours that exists is left as it is.

    Somebody else's is a KernelError.
    """
    path = _path(name)
    operation = f"create network namespace {name}"
    with attempting(operation), _locked_directory():
        if _is_namespace(path):
            if not is_ours(name):
                raise KernelError(
                    operation, "expected none or one of our own, found somebody else's; rename or remove it"
                )
            return
        path.touch(mode=0o444)
        try:
            with _returning(operation):
                _check(_libc.unshare(_CLONE_NEWNET))
                ownership.mark_namespace()
                _mount(_OWN, path, _MS_BIND)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def delete(name: str) -> None:
    """Remove the namespace `name` from /run/netns, and succeed if it is not there.

    The kernel destroys it and the links in it once no process and no socket uses it, which may be a moment later.
    """
    path = _path(name)
    with attempting(f"delete network namespace {name}"):
        while _is_namespace(path):
            _unmount(path)
        path.unlink(missing_ok=True)


def exists(name: str) -> bool:
    """Whether `name` is a network namespace; a stale file of that name is not one."""
    return _is_namespace(_path(name))


def is_ours(name: str) -> bool:
    """Whether `name` is a network namespace that `create` has made."""
    try:
        handle = open_handle(name)
    except KernelError:
        return False
    # It may be removed meanwhile: what is open stays.
    with _inside(handle, f"enter network namespace {name}"):
        return ownership.namespace_is_marked()


def names() -> tuple[str, ...]:
    """The names of all network namespaces in /run/netns, sorted."""
    with attempting("list network namespaces"):
        if not DIRECTORY.is_dir():
            return ()
        return tuple(sorted(path.name for path in DIRECTORY.iterdir() if _is_namespace(path)))


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """Run the body with the calling thread inside the namespace `name`; None stays where the thread is.

    Only the calling thread moves, and it comes back whatever the body does. An absent namespace is a KernelError.
    """
    if name is None:
        yield
        return
    with _inside(open_handle(name), f"enter network namespace {name}"):
        yield


def open_handle(name: str | None) -> int:
    """A file descriptor of the namespace `name` (None: the calling thread's) for setns(2); the caller closes it."""
    operation = f"open network namespace {name or 'of this thread'}"
    path = _OWN if name is None else _path(name)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise KernelError(operation, "it does not exist") from error
    except OSError as error:
        raise KernelError(operation, reason(error)) from error
    if _is_handle_of_namespace(handle):
        return handle
    os.close(handle)
    raise KernelError(operation, f"{path} is a leftover file and not a network namespace")


def _path(name: str) -> Path:
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        raise KernelError(
            f"use the network namespace name {name!r}", "a name has 1 to 255 bytes and neither a slash nor a NUL in it"
        )
    return DIRECTORY / name


def _is_namespace(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_handle_of_namespace(handle)
    finally:
        os.close(handle)


def _is_handle_of_namespace(handle: int) -> bool:
    try:
        return fcntl.ioctl(handle, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


@contextmanager
def _inside(handle: int, operation: str) -> Iterator[None]:
    """Takes the handle over."""
    try:
        with _returning(operation):
            with attempting(operation):
                _check(_libc.setns(handle, _CLONE_NEWNET))
            yield
    finally:
        os.close(handle)


@contextmanager
def _returning(operation: str) -> Iterator[None]:
    home = open_handle(None)
    try:
        yield
    finally:
        # A thread that cannot go home would do its next work in a stranger's namespace: this outranks the body's error.
        try:
            with attempting(f"{operation} and come back"):
                _check(_libc.setns(home, _CLONE_NEWNET))
        finally:
            os.close(home)


@contextmanager
def _locked_directory() -> Iterator[None]:
    """Hold the lock that iproute2 takes too, with the directory ready for mounts that other mount namespaces see."""
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _share_directory()
        yield
    finally:
        os.close(handle)


def _share_directory() -> None:
    try:
        _mount(None, DIRECTORY, _MS_SHARED | _MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # EINVAL: not a mount point yet.
        _mount(DIRECTORY, DIRECTORY, _MS_BIND | _MS_REC)
        _mount(None, DIRECTORY, _MS_SHARED | _MS_REC)


def _mount(source: Path | None, target: Path, flags: int) -> None:
    origin = b"" if source is None else os.fsencode(source)
    _check(_libc.mount(origin, os.fsencode(target), b"none", ctypes.c_ulong(flags), None))


def _unmount(path: Path) -> None:
    with suppress(FileNotFoundError):
        _check(_libc.umount2(os.fsencode(path), _MNT_DETACH))


def _check(result: int) -> None:
    if result == 0:
        return
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
