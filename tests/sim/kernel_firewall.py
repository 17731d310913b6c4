"""`zosfsm.kernel.firewall` and `fingerprint` over a simulated kernel."""

from __future__ import annotations

from tests.sim.kernel import SimLink
from tests.sim.kernel_in_use import in_use
from zosfsm.kernel import firewall
from zosfsm.kernel.errors import KernelError


def apply(ruleset: str, namespace: str | None = None) -> None:
    place = in_use.place(namespace, "apply the firewall")

    def do() -> None:
        place.tables[firewall.TABLE] = ruleset
        place.generation += 1

    # One transaction: there is no half of it.
    in_use.kernel.call("apply firewall", namespace or "", do)


def current(namespace: str | None = None) -> str:
    place = in_use.place(namespace, "read the firewall")
    return in_use.kernel.ask("read firewall", namespace or "", lambda: place.tables.get(firewall.TABLE, ""))


def matches(ruleset: str, namespace: str | None = None) -> bool:
    return current(namespace) == ruleset


def ensure(ruleset: str, namespace: str | None = None) -> bool:
    if matches(ruleset, namespace):
        return False
    apply(ruleset, namespace)
    return True


def remove(table: str = firewall.TABLE, namespace: str | None = None) -> None:
    place = in_use.place(namespace, "remove the firewall")

    def do() -> None:
        if place.tables.pop(table, None) is not None:
            place.generation += 1

    in_use.kernel.call("remove firewall", namespace or "", do)


def fingerprint(namespace: str, outside: tuple[str, ...]) -> bytes:
    kernel = in_use.kernel

    def do() -> bytes:
        place = in_use.place(namespace, f"look at network namespace {namespace}")
        seen: list[object] = [place.inode, place.generation, sorted(place.settings.items())]
        for name in outside:
            link = kernel.host.links.get(name)
            if link is None:
                raise KernelError(f"use link {name}", "there is no such link here")
            settings = sorted(one for one in kernel.host.settings.items() if name in one[0])
            seen.append((*_set_by_somebody(link), settings))
        for link in place.links.values():
            seen.append(_set_by_somebody(link))
            seen.append((list(link.addresses), [(one, one.gateway) for one in link.routes]))
        return repr(seen).encode()

    return kernel.ask("take fingerprint", namespace, do)


def _set_by_somebody(link: SimLink) -> tuple[object, ...]:
    return link.index, link.name, link.kind, link.mtu, link.up, link.group, link.master and link.master.index
