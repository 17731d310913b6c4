"""`zosfsm.kernel.links` over a simulated kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs

from tests.sim.kernel import Interface, SimLink
from tests.sim.kernel_in_use import OURS, in_use
from zosfsm.kernel.addresses import stale_addresses
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.link_messages import Link
from zosfsm.kernel.routes import Address, Network, Route


class SimLinks:
    """`zosfsm.kernel.links.Links`."""

    def __init__(self, namespace: str | None) -> None:
        self.namespace = namespace
        self._place = in_use.place(namespace, f"open network namespace {namespace}")

    def __enter__(self) -> SimLinks:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    # Looking

    def all(self) -> tuple[Link, ...]:
        found = self._place.links.values
        return self._ask("list links", "", lambda: tuple(map(_shown, sorted(found(), key=lambda link: link.index))))

    def find(self, name: str) -> Link | None:
        def do() -> Link | None:
            link = self._place.links.get(name)
            return None if link is None else _shown(link)

        return self._ask("find link", name, do)

    def get(self, name: str) -> Link:
        link = self.find(name)
        if link is None:
            raise KernelError(f"use link {name}", "there is no such link here")
        return link

    def addresses(self, name: str) -> tuple[Interface, ...]:
        return self._ask("list addresses", name, lambda: tuple(self._link(name).addresses))

    def routes(self, link: str, families: tuple[Literal[4, 6], ...] = (4, 6)) -> tuple[Route, ...]:
        def do() -> tuple[Route, ...]:
            return tuple(one for one in self._link(link).routes if one.destination.version in families)

        return self._ask("list routes", link, do)

    def default_route(self, family: Literal[4, 6]) -> Route | None:
        def do() -> Route | None:
            every = (route for link in self._place.links.values() for route in link.routes)
            return next(
                (one for one in every if one.destination.prefixlen == 0 and one.destination.version == family), None
            )

        return self._ask("list routes", "", do)

    # Making and changing

    def ensure_bridge(self, name: str, mac: str | None = None) -> None:
        def do() -> None:
            self._new(name, "bridge", mac)

        link = self._present(name)
        if link is not None and link.kind == "bridge":
            if mac is not None:
                self.set_mac(name, mac)
            return
        self.delete(name)
        self._call("make bridge", name, do)

    def ensure_veth(self, name: str, peer: str, peer_namespace: str | None) -> None:
        there = in_use.place(peer_namespace, f"make veth {name}")

        def do() -> None:
            if name in self._place.links or peer in there.links:
                raise KernelError(f"make veth {name}", "File exists")
            one = self._new(name, "veth", None)
            other = in_use.kernel.add_link(there, peer, "veth", OURS)
            one.peer, other.peer = other, one

        link = self._present(name)
        if link is not None and link.kind == "veth" and link.peer is there.links.get(peer) is not None:
            return
        self.delete(name)
        SimLinks(peer_namespace).delete(peer)
        self._call("make veth", f"{name} {peer_namespace or ''}", do)

    def ensure_macvlan(
        self, name: str, parent: str, into: str | None, mode: str, mac: str | None, index: int = 0
    ) -> None:
        there = in_use.place(into, f"make macvlan {name}")
        under = self._link(parent)

        def do() -> None:
            if name in there.links:
                raise KernelError(f"make macvlan {name}", "File exists")
            link = in_use.kernel.add_link(there, name, "macvlan", OURS)
            link.parent, link.mode = under, mode
            link.mac, link.index = mac or link.mac, index or link.index

        link = there.links.get(name)
        if link is not None and (link.kind, link.parent, link.mode) == ("macvlan", under, mode):
            return
        SimLinks(into).delete(name)
        self._call("make macvlan", f"{name} {into or ''}", do)

    def is_macvlan_over(self, name: str, parent: str, into: str, mode: str) -> bool:
        link = in_use.place(into, f"look at macvlan {name}").links.get(name)
        wanted = ("macvlan", self._link(parent), mode)
        return self._ask("find link", name, lambda: link is not None and (link.kind, link.parent, link.mode) == wanted)

    def set_up(self, name: str) -> None:
        self._call("switch on", name, lambda: setattr(self._link(name), "up", True))

    def set_down(self, name: str) -> None:
        def do() -> None:
            link = self._link(name)
            link.up = False
            link.routes.clear()

        self._call("switch off", name, do)

    def set_mac(self, name: str, mac: str) -> None:
        self._call("set MAC", name, lambda: setattr(self._link(name), "mac", mac))

    def set_mtu(self, name: str, mtu: int) -> None:
        self._call("set MTU", name, lambda: setattr(self._link(name), "mtu", mtu))

    def mark(self, name: str) -> None:
        self._call("mark link", name, lambda: setattr(self._link(name), "group", OURS))

    def move(self, name: str, into: str | None) -> None:
        there = in_use.place(into, f"move {name}")
        self._call("move link", name, lambda: in_use.kernel.move_link(self._link(name), there))

    def delete(self, name: str) -> None:
        def do() -> None:
            if name in self._place.links:
                in_use.kernel.remove_link(self._place.links[name])

        if self._present(name) is not None:
            self._call("delete link", name, do)

    def enslave(self, name: str, bridge: str) -> None:
        self._call("put into bridge", name, lambda: setattr(self._link(name), "master", self._link(bridge)))

    def release(self, name: str) -> None:
        self._call("take out of bridge", name, lambda: setattr(self._link(name), "master", None))

    def set_addresses(self, name: str, wanted: Iterable[Interface]) -> None:
        addresses = tuple(wanted)
        present = self.addresses(name)
        for address in addresses:
            if address not in present:
                self.ensure_address(name, address)
        for address in stale_addresses(present, addresses):
            self.remove_address(name, address)

    def ensure_address(self, name: str, address: Interface) -> None:
        def do() -> None:
            link = self._link(name)
            if address not in link.addresses:
                link.addresses.append(address)

        self._call("add address", f"{name} {self.namespace or ''} {address}", do)

    ensure_routeless_address = ensure_address

    def remove_address(self, name: str, address: Interface) -> None:
        def do() -> None:
            if name in self._place.links and address in self._place.links[name].addresses:
                self._place.links[name].addresses.remove(address)

        self._call("remove address", f"{name} {address}", do)

    def flush_addresses(self, name: str) -> None:
        if self._present(name) is not None:
            self.set_addresses(name, ())

    def replace_route(self, destination: Network, gateway: Address | None, link: str, *_more: object) -> None:
        def do() -> None:
            where = self._link(link)
            if not where.up:
                raise KernelError(f"set route {destination}", "Network is down")
            for other in self._place.links.values():
                other.routes[:] = [one for one in other.routes if one.destination != destination]
            where.routes.append(Route(destination, gateway, link))

        self._call("set route", f"{link} {destination}", do)

    def remove_route(self, destination: Network, gateway: Address | None, link: str, *_more: object) -> None:
        def do() -> None:
            where = self._place.links.get(link)
            if where is not None:
                where.routes[:] = [
                    one for one in where.routes if (one.destination, one.gateway) != (destination, gateway)
                ]

        self._call("remove route", f"{link} {destination}", do)

    def _present(self, name: str) -> SimLink | None:
        return self._ask("find link", name, lambda: self._place.links.get(name))

    def _link(self, name: str) -> SimLink:
        if name not in self._place.links:
            raise KernelError(f"use link {name}", "there is no such link here")
        return self._place.links[name]

    def _new(self, name: str, kind: str, mac: str | None) -> SimLink:
        if name in self._place.links:
            raise KernelError(f"make {kind} {name}", "File exists")
        link = in_use.kernel.add_link(self._place, name, kind, OURS)
        link.mac = mac or link.mac
        return link

    def _call(self, call: str, about: str, do: Callable[[], Any]) -> None:
        in_use.kernel.call(call, about, do)

    def _ask(self, call: str, about: str, do: Callable[[], Any]) -> Any:
        return in_use.kernel.ask(call, f"{about} {self.namespace or ''}", do)


def _shown(link: SimLink) -> Link:
    values = {
        "index": link.index,
        "name": link.name,
        "kind": link.kind,
        "mac": link.mac,
        "up": link.up,
        "carrier": link.up,
        "master": link.master.index if link.master else None,
        "mtu": link.mtu,
        "group": link.group,
    }
    return Link(**{name: value for name, value in values.items() if name in attrs.fields_dict(Link)})
