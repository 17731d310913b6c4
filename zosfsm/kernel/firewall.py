"""The one nftables table of a namespace: put in place whole, read back, removed. It must not know what any rule is for.

libnftables is called in this process (libnftables(3)): starting `nft` costs ten times as much. A context talks to the
namespace that its thread is in when the context is made, so every call makes its own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache, partial

from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.namespaces import entered
from zosfsm.kernel.open_files import demand_low

TABLE = "zosfsm"

_LIBRARY = "libnftables.so.1"
_CLONE_NEWNET = 0x40000000
_OUTPUT_STATELESS, _OUTPUT_TERSE = 1 << 2, 1 << 11  # enum nft_output_flags of libnftables.h


def apply(ruleset: str, namespace: str | None = None) -> None:
    """Replace our table by `ruleset`, which is exactly one `table inet zosfsm { ... }`, in one transaction (nft(8)).

    Other tables are not touched. What nft refuses leaves the old rules in force and raises KernelError with nft's text.
    """
    operation = f"apply the firewall{_inside(namespace)}"
    if not ruleset.lstrip().startswith(f"table inet {TABLE} {{"):
        raise KernelError(operation, f"expected a ruleset that begins with 'table inet {TABLE} {{'")
    with _session(operation, namespace) as run:
        # Only where there is one: the kernel waits some 10 ms in a transaction that deletes.
        run((f"delete table inet {TABLE}\n" if _has_table(run) else "") + ruleset)


def ensure(ruleset: str, namespace: str | None = None) -> bool:
    """Apply `ruleset` where something else is in force, so that counters and rules in force are left alone otherwise.

    Says whether it had to.
    """
    if matches(ruleset, namespace):
        return False
    apply(ruleset, namespace)
    return True


def matches(ruleset: str, namespace: str | None = None) -> bool:
    """Whether exactly `ruleset` is in force, rule by rule, however the two are written."""
    present = current(namespace)
    if not present:
        return False
    return present.strip() == ruleset.strip() or present == _as_listed(ruleset)


def current(namespace: str | None = None) -> str:
    """Our table as nft lists it, without counters' values; an empty text where there is none."""
    operation = f"read the firewall{_inside(namespace)}"
    with _session(operation, namespace) as run:
        return run(f"list table inet {TABLE}") if _has_table(run) else ""


def remove(table: str = TABLE, namespace: str | None = None) -> None:
    """Remove the inet table `table` with all its rules; succeeds where it is absent."""
    operation = f"remove the firewall table {table}{_inside(namespace)}"
    with _session(operation, namespace) as run:
        run(f"table inet {table} {{}}\ndelete table inet {table}")


def _has_table(run: Callable[[str], str]) -> bool:
    return f"table inet {TABLE}\n" in run("list tables inet")


@lru_cache(maxsize=256)
def _as_listed(ruleset: str) -> str:
    """`ruleset` as this version of nft lists it: it is loaded into a namespace that lives only for the question."""

    def ask() -> str:
        # The thread ends with the call, and with it the last user of its namespace.
        with attempting("make a scratch network namespace"):
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        apply(ruleset)
        return current()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="firewall-listing") as executor:
        return executor.submit(ask).result()


@contextmanager
def _session(operation: str, namespace: str | None) -> Iterator[Callable[[str], str]]:
    """What carries out nft's commands, as often as it is asked, and answers what nft says."""
    with entered(namespace), _context(operation) as context:
        yield partial(_run, operation, context)


def _run(operation: str, context: int, commands: str) -> str:
    library = _library()
    if library.nft_run_cmd_from_buffer(context, commands.encode()) != 0:
        complaint: bytes = library.nft_ctx_get_error_buffer(context) or b""
        raise KernelError(operation, " ".join(complaint.decode(errors="replace").split()) or "nft gave no reason")
    output: bytes = library.nft_ctx_get_output_buffer(context) or b""
    return output.decode(errors="replace")


@contextmanager
def _context(operation: str) -> Iterator[int]:
    library = _library()
    demand_low(operation)
    context: int | None = library.nft_ctx_new(0)
    if not context:
        raise KernelError(operation, "libnftables could not open its netlink socket; is nf_tables in this kernel?")
    try:
        if library.nft_ctx_buffer_output(context) or library.nft_ctx_buffer_error(context):
            raise KernelError(operation, "libnftables could not set up its buffers")
        # Counters and what rules put into sets move by themselves: two listings of the same rules must be one text.
        library.nft_ctx_output_set_flags(context, _OUTPUT_STATELESS | _OUTPUT_TERSE)
        yield context
    finally:
        library.nft_ctx_free(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise KernelError("load the firewall", f"{_LIBRARY} is missing; install the package libnftables1") from error
    context = ctypes.c_void_p
    for name, result, arguments in (
        ("nft_ctx_new", context, [ctypes.c_uint32]),
        ("nft_ctx_free", None, [context]),
        ("nft_ctx_buffer_output", ctypes.c_int, [context]),
        ("nft_ctx_buffer_error", ctypes.c_int, [context]),
        ("nft_ctx_output_set_flags", None, [context, ctypes.c_uint]),
        ("nft_ctx_get_output_buffer", ctypes.c_char_p, [context]),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, [context]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [context, ctypes.c_char_p]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _inside(namespace: str | None) -> str:
    return f" in network namespace {namespace}" if namespace else ""
