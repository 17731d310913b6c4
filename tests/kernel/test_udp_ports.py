"""Who asks whether a UDP port is bound is told so, and is in nobody's way."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from zosfsm.kernel import udp_ports
from zosfsm.kernel.namespaces import entered

pytestmark = pytest.mark.kernel

PORT = 3000


def bound(family: socket.AddressFamily, namespace: str, address: str) -> socket.socket:
    with entered(namespace):
        opened = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind((address, PORT))
    return opened


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
@pytest.mark.parametrize("can_diagnose", [True, False], ids=["sock_diag", "a kernel without"])
def test_a_port_is_bound_where_it_is_bound(
    make_namespace: Callable[[], str],
    family: socket.AddressFamily,
    address: str,
    can_diagnose: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = make_namespace(), make_namespace()
    if not can_diagnose:
        monkeypatch.setattr(udp_ports, "_can_diagnose", lambda: False)
    with bound(family, one, address):
        with entered(one):
            assert udp_ports.is_bound(PORT)
            assert not udp_ports.is_bound(PORT + 1)
        with entered(other):
            assert not udp_ports.is_bound(PORT)
    with entered(one):
        assert not udp_ports.is_bound(PORT)
