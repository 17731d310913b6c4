"""A network resource whose tunnel is born in another namespace than the node's own, and moves between them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from tests.kernel.network_ground import (
    build,
    differences_since,
    found_different,
    known_print,
    plan_of,
    prepare,
    torn_down,
)
from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.waiting import until
from zosfsm.kernel import namespaces, wireguard_userspace
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.network_plan import NetworkPlan

pytestmark = pytest.mark.kernel

HERE = plan_of(1, 2)
THERE = evolve(HERE, underlay="public")


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        prepare(only, 1)
        only.run(namespaces.create, "public")
        yield only


def built_in_a_thread(plan: NetworkPlan) -> tuple[str, ...]:
    """As a node does it, whose main thread never leaves home."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(build, plan).result()


def ports(host: SeparateHost, namespace: str = "") -> bool:
    """Is the tunnel's UDP port bound there?"""
    enter = f"ip netns exec {namespace} " if namespace else ""
    return f":{HERE.listen_port} " in host.shell(f"{enter}ss -Hlun")


def test_a_tunnel_has_its_socket_where_it_was_born(host: SeparateHost) -> None:
    assert host.run(built_in_a_thread, THERE) == ()
    assert (ports(host), ports(host, "public")) == (False, True)
    assert host.run(built_in_a_thread, THERE) == ()
    assert host.run(torn_down) == ()
    assert host.run(wireguard_userspace.sockets) == ()


def test_a_tunnel_that_was_born_elsewhere_is_noticed_and_born_again(host: SeparateHost) -> None:
    assert host.run(build, HERE) == ()
    known = host.run(known_print, HERE)
    told = "expected the UDP socket of w-abc in public, found it elsewhere or unbound"
    assert host.run(found_different, THERE) == (told,)
    # At the quick look too.
    assert host.run(differences_since, THERE, known) == (told,)
    assert host.run(built_in_a_thread, THERE) == ()
    assert (ports(host), ports(host, "public")) == (False, True)
    assert host.run(build, HERE) == ()
    assert (ports(host), ports(host, "public")) == (True, False)


def test_a_tunnel_whose_namespace_has_lost_its_name_is_born_again(host: SeparateHost) -> None:
    assert host.run(built_in_a_thread, THERE) == ()
    host.run(namespaces.delete, "public")
    assert any("expected the UDP socket of w-abc in public" in found for found in host.run(found_different, THERE))
    with pytest.raises(KernelError, match="public"):
        host.run(built_in_a_thread, THERE)
    host.run(namespaces.create, "public")
    assert host.run(built_in_a_thread, THERE) == ()
    assert ports(host, "public")


def test_a_port_that_is_taken_where_the_tunnel_is_to_be_born_is_refused(host: SeparateHost) -> None:
    taken = f"import socket, time; taken = socket.socket(2, 2); taken.bind(('', {HERE.listen_port})); time.sleep(600)"
    host.shell(f'ip netns exec public python3 -c "{taken}" >/dev/null 2>&1 &')
    until(lambda: ports(host, "public"))
    with pytest.raises(KernelError, match=f"UDP port {HERE.listen_port} is in use"):
        host.run(built_in_a_thread, THERE)
    assert host.run(torn_down) == ()
    assert host.run(build, HERE) == ()
