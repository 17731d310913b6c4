"""What nobody wants, of what the census found: by its owner, and never what is only being made or removed just now."""

from __future__ import annotations

from attrs import evolve

from tests.node.network_holders import NOW, holder, resources
from zosfsm.fsm.machine import Instance
from zosfsm.kernel.leftovers import Kind, Owner, Trace
from zosfsm.kernel.workload import WorkloadNames
from zosfsm.node.orphans import Orphan, orphans, undisputed, wanted

NAMESPACE = Trace(Kind.NAMESPACE, "n-abc", Owner.NETWORK, "abc")
BRIDGE = Trace(Kind.LINK, "b-abc", Owner.NETWORK, "abc")
PROCESS = Trace(Kind.PROCESS, "w-abc", Owner.NETWORK, "abc", 77)
SOCKET = Trace(Kind.SOCKET, "w-abc", Owner.NETWORK, "abc")
CONTAINER = Trace(Kind.NAMESPACE, "c-abc-web", Owner.WORKLOAD, "abc/web")
TAP = Trace(Kind.LINK, "t-abc", Owner.WORKLOAD, "abc")
CABLE = Trace(Kind.LINK, WorkloadNames("abc", "web").outside, Owner.CABLE, "v-...")
OWN = (
    Trace(Kind.LINK, "zos", Owner.UPLINK),
    Trace(Kind.LINK, "br-ndmz", Owner.DMZ),
    Trace(Kind.NAMESPACE, "ndmz", Owner.DMZ),
    Trace(Kind.NAMESPACE, "public", Owner.PUBLIC),
)
NOBODY = wanted({})


def workload(key: str, state: str = "joined") -> Instance:
    return Instance(f"workload:{key}", state, None, NOW)


def test_all_that_is_left_of_one_network_goes_by_one_machine() -> None:
    (found,) = orphans((NAMESPACE, BRIDGE, PROCESS, SOCKET), NOBODY, NOBODY)
    assert found == Orphan("resource:abc", (NAMESPACE, BRIDGE, PROCESS, SOCKET))
    assert str(found) == "namespace n-abc, link b-abc, process w-abc (77), socket w-abc"


def test_what_a_network_in_any_state_has_is_its_own() -> None:
    for state in ("reserving", "building", "active", "updating", "damaged", "rolling_back", "tearing_down"):
        has = wanted(resources(holder("abc", state=state)))
        assert orphans((NAMESPACE, BRIDGE, PROCESS, SOCKET), has, has) == ()


def test_a_network_that_failed_has_nothing() -> None:
    failed = wanted(resources(holder("abc", state="failed")))
    assert orphans((NAMESPACE,), failed, failed) == (Orphan("resource:abc", (NAMESPACE,)),)


def test_what_was_begun_or_ended_while_the_kernel_was_looked_at_is_no_orphan() -> None:
    has = wanted(resources(holder("abc")))
    assert orphans((NAMESPACE,), NOBODY, has) == ()
    assert orphans((NAMESPACE,), has, NOBODY) == ()


def test_what_workloads_have_that_nobody_joined_goes_by_their_machines_and_a_lone_cable_by_itself() -> None:
    has = wanted(resources(holder("abc")))
    assert orphans((CONTAINER, TAP, CABLE), has, has) == (
        Orphan("workload:abc/web", (CONTAINER,)),
        Orphan("workload:abc", (TAP,)),
        Orphan("", (CABLE,)),
    )


def test_what_joined_workloads_have_stays() -> None:
    has = wanted(resources(holder("abc"), workload("abc/web"), workload("abc")))
    assert orphans((CONTAINER, TAP, CABLE), has, has) == ()


def test_the_nodes_own_is_never_an_orphan() -> None:
    assert orphans(OWN, NOBODY, NOBODY) == ()


def test_namespaces_that_are_wanted_are_known_by_name() -> None:
    has = wanted(resources(holder("abc"), holder("xyz", state="failed"), workload("abc/web"), workload("abc")))
    assert {"n-abc", "c-abc-web"} <= has.namespaces
    assert "n-xyz" not in has.namespaces


def test_a_second_process_is_in_the_way_only_where_nothing_was_changed_meanwhile() -> None:
    before = holder("abc")
    moved_on = wanted(resources(evolve(before, visit=2)))
    assert undisputed((PROCESS,), wanted(resources(before)), wanted(resources(before))) == (PROCESS,)
    assert undisputed((PROCESS,), wanted(resources(before)), moved_on) == ()
    assert undisputed((PROCESS,), NOBODY, NOBODY) == ()
    repairing = wanted(resources(holder("abc", state="repairing")))
    assert undisputed((PROCESS,), repairing, repairing) == ()
