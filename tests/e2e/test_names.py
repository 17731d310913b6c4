"""Workloads on two nodes find each other by their names through the mesh, and the world by the node's name servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.reversename
import pytest
from attrs import frozen

from tests.e2e.small_farm import SmallFarm, eventually
from tests.e2e.user import User
from zosfsm.lab.entering import entered_file
from zosfsm.lab.services import own_command
from zosfsm.lab.workload import Workload, join, leave
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

_ANSWER_SECONDS = 8.0


@frozen
class Named:
    """A network over both nodes, with a workload of another name on each."""

    farm: SmallFarm
    network: str
    workloads: tuple[Workload, Workload]


@pytest.fixture(scope="module")
def named(farm: SmallFarm, user: User) -> Iterator[Named]:
    plan = user.plan("Names of ours", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    place, file = farm.farm.place, farm.farm.file
    with ExitStack() as stack:
        web, db = (
            join(place, node.node, file, network, name) for node, name in zip(farm.nodes, ("web", "db"), strict=True)
        )
        for workload in (web, db):
            stack.callback(leave, place, file, workload)
        yield Named(farm, network, (web, db))


def found(workload: Workload, name: str, kind: str = "A", *, tcp: bool = False, server: str = "") -> list[str]:
    """What the resource's name server answers; [] where it says that there is nothing, or does not answer."""
    query = dns.message.make_query(name, kind)
    with entered_file(workload.namespace_file):
        ask = dns.query.tcp if tcp else dns.query.udp
        try:
            response = ask(query, server or str(workload.gateway), timeout=_ANSWER_SECONDS)
        except (dns.exception.DNSException, OSError):
            return []
    assert response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL)
    return [record.to_text() for records in response.answer for record in records]


def name_servers(named: Named) -> list[str]:
    """What the public node tells its workload of name servers."""
    answer = named.farm.public.run(*own_command("workload", "join", named.network, "web", "--json"))
    return [str(server) for server in json.loads(answer)["name_servers"]]


def test_each_finds_the_other_through_the_mesh(named: Named) -> None:
    web, db = named.workloads
    for asker, name, other in ((web, "db", db), (db, "web", web), (web, "web", web)):
        wanted = [str(other.address.ip)]
        full = f"{name}.names-of-ours.internal"
        eventually(lambda full=full, asker=asker, wanted=wanted: found(asker, full) == wanted, f"{full} to be {wanted}")  # type: ignore[misc]
        assert found(asker, full, tcp=True) == wanted
        reverse = dns.reversename.from_address(wanted[0]).to_text()
        assert found(asker, reverse, "PTR") == [f"{full}."]
    assert found(web, "nobody.names-of-ours.internal") == []
    (server_ipv6,) = (address for address in name_servers(named) if ":" in address)
    assert found(web, "web.names-of-ours.internal", "AAAA", server=server_ipv6)


def test_a_workload_that_leaves_has_no_name_any_more(named: Named) -> None:
    place, file, node = named.farm.farm.place, named.farm.farm.file, named.farm.public
    guest = join(place, node.node, file, named.network, "guest")
    for asker in named.workloads:
        assert found(asker, "guest.names-of-ours.internal") == [str(guest.address.ip)]
    leave(place, file, guest)
    # Its own node knows at once; others may remember it for some seconds.
    assert found(named.workloads[0], "guest.names-of-ours.internal") == []


def test_what_the_world_knows_is_found_by_the_nodes_own_name_servers(named: Named) -> None:
    for workload in named.workloads:
        eventually(
            lambda workload=workload: found(workload, "outside.lab.example") == ["203.0.113.80"],  # type: ignore[misc]
            "outside.lab.example to be found",
        )


def test_after_a_kill_names_are_found_again(named: Named) -> None:
    web, db = named.workloads
    named.farm.hidden.kill()
    assert found(web, "web.names-of-ours.internal") == [str(web.address.ip)]
    named.farm.hidden.start()
    named.farm.hidden.wait_active(named.network)
    for asker, name, other in ((db, "db", db), (db, "web", web), (web, "db", db)):
        full = f"{name}.names-of-ours.internal"
        eventually(
            lambda full=full, asker=asker, other=other: found(asker, full) == [str(other.address.ip)],  # type: ignore[misc]
            f"{full} to be found again",
        )
