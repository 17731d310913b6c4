"""`zosfsm.kernel.namespaces` and `sysctl` over a simulated kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.sim.kernel import SimNamespace
from tests.sim.kernel_in_use import OURS, in_use
from tests.sim.virtual_time import here
from zosfsm.kernel.errors import KernelError

_DEFAULTS = {"accept_dad": "1", "accept_ra": "1", "promote_secondaries": "0"}


def create(name: str) -> None:
    kernel = in_use.kernel

    def do() -> None:
        if name not in kernel.namespaces:
            kernel.stale_names.discard(name)
            kernel.namespaces[name] = place = SimNamespace(name, kernel.number())
            kernel.add_link(place, "lo", "", OURS)

    def torn() -> None:
        if name not in kernel.namespaces:
            kernel.stale_names.add(name)

    # It is looked at before anything is done, by the node itself.
    if exists(name) and not is_ours(name):
        raise KernelError(f"create network namespace {name}", "found somebody else's")
    # It clears up what it began, unless it is killed.
    kernel.call("create namespace", name, do, torn=torn)


def delete(name: str) -> None:
    kernel = in_use.kernel
    kernel.call("delete namespace", name, lambda: kernel.remove_name(name))


def exists(name: str) -> bool:
    return in_use.kernel.ask("look for namespace", name, lambda: name in in_use.kernel.namespaces)


def names() -> tuple[str, ...]:
    return in_use.kernel.ask("list namespaces", "", lambda: tuple(sorted(in_use.kernel.namespaces)))


def is_ours(name: str) -> bool:
    kernel = in_use.kernel

    def do() -> bool:
        place = kernel.namespaces.get(name)
        return place is not None and place.links["lo"].group == OURS

    return kernel.ask("look whose namespace", name, do)


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    if name is None:
        yield
        return
    place, strand = in_use.place(name, f"enter network namespace {name}"), here.strand
    in_use.inside.setdefault(strand, []).append(place)
    try:
        yield
    finally:
        in_use.inside[strand].pop()
        if not in_use.inside[strand]:
            del in_use.inside[strand]


def namespace_is_marked() -> bool:
    place = in_use.place(None, "look whose namespace")
    return in_use.kernel.ask("look whose namespace", place.name or "", lambda: place.links["lo"].group == OURS)


def read(name: str, namespace: str | None = None) -> str:
    place, path = in_use.place(namespace, f"read sysctl {name}"), _path(name)

    def do() -> str:
        if not _is_offered(place, path):
            raise KernelError(f"read sysctl {name}", "No such file or directory")
        return place.settings.get(path, _DEFAULTS.get(path[-1], "0"))

    return in_use.kernel.ask("read sysctl", name, do)


def values(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(read(name) for name in names)


def write(name: str, value: str, namespace: str | None = None) -> None:
    place, path = in_use.place(namespace, f"set sysctl {name}"), _path(name)

    def do() -> None:
        if not _is_offered(place, path):
            raise KernelError(f"set sysctl {name}", "No such file or directory")
        place.settings[path] = value

    if read(name, namespace) != value:
        in_use.kernel.call("set sysctl", f"{name} {namespace or ''}", do)


def is_offered(name: str, namespace: str | None = None) -> bool:
    return _is_offered(in_use.place(namespace, f"look for sysctl {name}"), _path(name))


def _path(name: str) -> tuple[str, ...]:
    first_dot, first_slash = name.find("."), name.find("/")
    if first_slash != -1 and (first_dot == -1 or first_slash < first_dot):
        return tuple(name.split("/"))
    return tuple(part.replace("/", ".") for part in name.split("."))


def _is_offered(place: SimNamespace, path: tuple[str, ...]) -> bool:
    if len(path) < 4 or path[2] != "conf" or path[3] in ("all", "default"):
        return True
    return path[3] in place.links
