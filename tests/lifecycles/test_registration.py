"""How the node makes itself known, guard by guard and action by action."""

from __future__ import annotations

from attrs import evolve

from tests.lifecycles.asking import Asked, agreed, only, refused, untested
from zosfsm.fsm.lifecycle import Event, Tell
from zosfsm.lifecycles.registration import (
    Identified,
    MakeIdentity,
    PublishInventory,
    RegisterNode,
    Registration,
    RegistrationData,
)

NODE = Asked(Registration(), "registration")
NEW = RegistrationData()
CONNECTED = RegistrationData("node", 1, True)


def test_every_guard_and_action_of_the_registration_is_tested() -> None:
    assert untested(Registration, __file__) == []


def test_at_first_nothing_is_known() -> None:
    assert Registration().initial("") == NEW


def test_the_node_knows_whether_there_is_a_way_to_the_grid() -> None:
    assert agreed(NODE.ask("is_connected", CONNECTED)) == "the grid can be reached"
    assert refused(NODE.ask("is_connected", NEW)) == "there is no way to the grid yet"


def test_the_node_knows_whether_the_grid_must_hear_more() -> None:
    changed = evolve(CONNECTED, changed=True)
    assert agreed(NODE.ask("changed_meanwhile", changed)) == "NICs or ports changed meanwhile"
    assert refused(NODE.ask("changed_meanwhile", CONNECTED)) == "all that the grid was told still holds"


def test_the_identity_is_asked_for_and_remembered() -> None:
    assert NODE.do("make_identity", NEW).effects == (MakeIdentity(),)
    known = NODE.do("remember_identity", NEW, Event("identity_ready", Identified("node", 1))).data
    assert known == RegistrationData("node", 1)


def test_the_connection_is_remembered_and_forgotten() -> None:
    assert NODE.do("remember_connection", NEW).data.connected
    assert not NODE.do("forget_connection", CONNECTED).data.connected


def test_the_grid_is_told_that_the_node_exists() -> None:
    assert NODE.do("register", CONNECTED).effects == (RegisterNode(),)


def test_publishing_starts_from_what_is_there_now() -> None:
    change = NODE.do("publish", evolve(CONNECTED, changed=True))
    assert (change.data, change.effects) == (CONNECTED, (PublishInventory(),))


def test_a_change_meanwhile_is_remembered() -> None:
    assert NODE.do("remember_change", CONNECTED).data == evolve(CONNECTED, changed=True)


def test_polling_hears_who_the_node_is_and_the_public_interface_that_the_grid_may_be_asked() -> None:
    reason = "the grid knows the node"
    assert NODE.do("announce", CONNECTED).effects == (
        Tell("polling", "registered", Identified("node", 1), reason),
        Tell("public", "registered", None, reason),
    )


def test_polling_hears_of_a_refusal_with_the_grids_reason() -> None:
    told = only(NODE.do("announce_refusal", CONNECTED, Event("refused", reason="no such farm")).effects)
    assert (told.to, told.trigger, told.reason) == ("polling", "disconnected", "no such farm")


def test_connectivity_hears_of_a_grid_that_does_not_answer() -> None:
    told = only(NODE.do("announce_doubt", CONNECTED, Event("unreachable", reason="no answer")).effects)
    assert (told.to, told.trigger, told.reason) == ("connectivity", "doubt", "no answer")
