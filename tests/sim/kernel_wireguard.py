"""`zosfsm.kernel.wireguard_userspace`, its processes and their UDP ports, over a simulated kernel."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sim.kernel import SimDevice
from tests.sim.kernel_in_use import in_use
from zosfsm.kernel import wireguard
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.tunnel_processes import TunnelProcess
from zosfsm.kernel.wireguard import Device, Peer, PeerStatus, difference


class SimWireGuard:
    """`zosfsm.kernel.wireguard.WireGuard`, as wireguard-go does it: processes that outlive the node."""

    def ensure(self, name: str, namespace: str | None) -> None:
        kernel = in_use.kernel
        if self.exists(name, namespace):
            return
        device = kernel.devices.get(name)
        if device is not None or name in kernel.host.links:
            self.delete(name, namespace)
        there = in_use.place(namespace, f"start wireguard-go for {name}")

        def start(is_moved: bool) -> None:
            # A program that is not ours makes the link: it has no mark.
            link = kernel.add_link(kernel.host, name, "tun")
            kernel.devices[name] = SimDevice(name, in_use.place(None, "start").name, link, kernel.number())
            if is_moved:
                if name in there.links:
                    raise KernelError(f"move {name}", "File exists")
                kernel.move_link(link, there)

        kernel.call("start WireGuard", name, lambda: start(True), lambda: start(False))

    def configure(
        self, name: str, namespace: str | None, private_key: str, listen_port: int, peers: tuple[Peer, ...]
    ) -> None:
        kernel = in_use.kernel
        changes = difference(self.device(name, namespace), private_key, listen_port, peers)
        if changes.nothing:
            return
        device = self._found(name)
        holder = kernel.port_holder(listen_port, device.underlay)
        if changes.listen_port is not None and holder is not None:
            raise KernelError(f"configure WireGuard {name}", f"UDP port {listen_port} is in use; choose another")

        def half() -> None:
            device.private_key, device.port = _stored(private_key), listen_port

        def do() -> None:
            half()
            device.peers = {peer.public_key: peer for peer in peers}

        kernel.call("configure WireGuard", name, do, half)

    def device(self, name: str, namespace: str | None) -> Device:
        def do() -> Device:
            found = self._found(name)
            peers = (
                PeerStatus(one.public_key, one.endpoint, None, 0, 0, one.allowed_ips, one.keepalive_seconds)
                for one in found.peers.values()
            )
            return Device(found.private_key, found.port, tuple(peers))

        return in_use.kernel.ask("read WireGuard", name, do)

    def peers(self, name: str, namespace: str | None) -> tuple[PeerStatus, ...]:
        return self.device(name, namespace).peers

    def exists(self, name: str, namespace: str | None) -> bool:
        def do() -> bool:
            found = in_use.kernel.devices.get(name)
            if found is None or not found.is_running or found.link is None:
                return False
            return found.link.place is in_use.kernel.namespaces.get(namespace or "", in_use.kernel.host)

        return in_use.kernel.ask("look for WireGuard", name, do)

    def delete(self, name: str, namespace: str | None) -> None:
        kernel = in_use.kernel

        def half() -> None:
            # The process is gone, its socket's file is not.
            device = kernel.devices.get(name)
            if device is not None:
                kernel.kill_device(device)

        def do() -> None:
            for place in (kernel.host, kernel.namespaces.get(namespace or "")):
                if place is not None and name in place.links:
                    kernel.remove_link(place.links[name])
            half()
            kernel.devices.pop(name, None)

        kernel.call("delete WireGuard", name, do, half)

    def _found(self, name: str) -> SimDevice:
        found = in_use.kernel.devices.get(name)
        if found is None or not found.is_running:
            raise KernelError(f"read WireGuard {name}", "no process answers")
        return found


def running(device: str | None = None) -> Iterator[TunnelProcess]:
    def do() -> tuple[TunnelProcess, ...]:
        ours = [one for one in in_use.kernel.devices.values() if one.is_running and one.is_ours]
        return tuple(TunnelProcess(one.pid, one.name) for one in ours if device in (None, one.name))

    yield from in_use.kernel.ask("list processes", device or "", do)


def answering(name: str) -> int | None:
    def do() -> int | None:
        found = in_use.kernel.devices.get(name)
        return found.pid if found is not None and found.is_running and found.has_socket else None

    return in_use.kernel.ask("speak to WireGuard", name, do)


def sockets() -> tuple[str, ...]:
    found = in_use.kernel.devices.values
    return in_use.kernel.ask("list sockets", "", lambda: tuple(sorted(one.name for one in found() if one.has_socket)))


def end_process(process: TunnelProcess) -> None:
    def do() -> None:
        found = in_use.kernel.devices.get(process.device)
        if found is not None and found.pid == process.pid:
            in_use.kernel.kill_device(found)

    in_use.kernel.call("kill process", process.device, do)


def remove_socket_of_nobody(name: str) -> None:
    def do() -> None:
        found = in_use.kernel.devices.get(name)
        if found is not None and not found.is_running:
            del in_use.kernel.devices[name]

    in_use.kernel.call("remove socket", name, do)


def _stored(private_key: str) -> str:
    return wireguard._as_stored(private_key)


def is_bound(port: int) -> bool:
    underlay = in_use.place(None, "look at UDP ports").name
    return in_use.kernel.ask("look for port", str(port), lambda: in_use.kernel.port_holder(port, underlay) is not None)
