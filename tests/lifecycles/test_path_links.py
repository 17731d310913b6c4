"""What becomes of a path when its link changes: the NIC goes into the bridge, its cable is pulled, it is not needed."""

from __future__ import annotations

from attrs import evolve

from tests.lifecycles.asking import LEASE, NOW, told
from tests.lifecycles.test_path import ON_TRIAL, within
from tests.lifecycles.test_path_guards import IPV4, IPV6, LEASED, MAC, NEW, ROUTED
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.lease_data import Moved
from zosfsm.lifecycles.path_data import (
    ClearTrial,
    MovedPath,
    PathData,
    PathStanding,
    SolicitRouter,
    StopSoliciting,
)
from zosfsm.lifecycles.uplink_policy import Family


def test_a_lease_moves_to_the_bridge_and_leaves_the_nic_clean() -> None:
    resting = evolve(ON_TRIAL, was_proven=True, is_resting=True)
    change = IPV4.do("move", resting, Event("moved", MovedPath("zos", MAC)))
    assert change.effects == (ClearTrial("eth2", LEASE), Tell("lease:eth2", "moved", Moved("zos", MAC)))
    assert change.data == evolve(
        LEASED, link="zos", is_on_bridge=True, is_configured=True, was_proven=True, standing=PathStanding.TRYING
    )


def test_a_path_without_a_lease_goes_on_asking_on_the_bridge() -> None:
    change = IPV4.do("move", NEW, Event("moved", MovedPath("zos", MAC)))
    assert change.effects == (Tell("lease:eth2", "moved", Moved("zos", MAC)),)
    assert (change.data.is_on_bridge, change.data.is_configured) == (True, False)


def test_an_ipv6_path_leaves_the_nic_and_begins_anew_on_the_bridge() -> None:
    change = IPV6.do("move", ROUTED, Event("moved", MovedPath("zos", MAC)))
    assert change.effects == (StopSoliciting("eth2", False), SolicitRouter("zos", True))
    data = change.data
    assert (data.link, data.router, data.router_expiry, data.standing) == ("zos", None, None, PathStanding.TRYING)
    assert within(data.soliciting, 0.25)


def test_a_pulled_cable_suspends_the_lease_and_a_plugged_one_resumes_it() -> None:
    resting = evolve(LEASED, is_resting=True, rest_until=NOW)
    suspended = IPV4.do("suspend_lease", resting)
    assert told(suspended.effects) == [("lease:eth2", "carrier_lost")]
    assert (suspended.data.is_resting, suspended.data.rest_until) == (False, None)
    resumed = IPV4.do("resume_lease", suspended.data)
    assert told(resumed.effects) == [("lease:eth2", "carrier_back")]
    assert resumed.data.standing is PathStanding.TRYING


def test_after_a_pulled_cable_routers_are_asked_anew() -> None:
    assert IPV6.do("suspend_lease", ROUTED).effects == ()
    change = IPV6.do("resume_lease", ROUTED)
    assert change.effects == (SolicitRouter("eth2", False),)
    assert change.data.router is None


def test_a_path_that_is_not_needed_leaves_nothing_behind() -> None:
    change = IPV4.do("leave_clean", ON_TRIAL)
    assert change.effects == (ClearTrial("eth2", LEASE), Tell("lease:eth2", "teardown"))
    assert change.data == PathData("eth2", Family.IPV4)
    on_bridge = IPV4.do("leave_clean", evolve(ON_TRIAL, link="zos", is_on_bridge=True))
    assert on_bridge.effects == (Tell("lease:eth2", "teardown"),)
    assert on_bridge.data.link == "eth2"
    assert IPV6.do("leave_clean", ROUTED).effects == (StopSoliciting("eth2", False),)
