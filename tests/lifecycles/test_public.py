"""The farmer's public interface, guard by guard and action by action."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from attrs import evolve

from tests.lifecycles.asking import Asked, agreed, only, refused, told, untested
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.public import Public
from zosfsm.lifecycles.public_data import (
    NO_MASTER,
    ConfirmPublic,
    ExaminePublic,
    FollowPublic,
    Ground,
    LeavePublic,
    LookAtNetworks,
    MakePublic,
    PublicData,
    PublicInterface,
    PublicWish,
    RemovePublic,
    RestorePublic,
    SwitchPublic,
    UplinkMoved,
    VerifyPublic,
)

PUBLIC = Asked(Public(), "public")
MAC = "02:00:00:00:00:01"
FIRST = PublicWish(0, "eth1", None, ip_interface("203.0.113.5/24"), ip_address("203.0.113.1"))
SECOND = evolve(FIRST, version=1, ipv4=ip_interface("203.0.113.6/24"))
ELSEWHERE = evolve(SECOND, version=2, master="eth2")
TAGGED = evolve(SECOND, version=2, vlan=100)
NONE = PublicWish(3, NO_MASTER)
OWN = Ground(False, MAC)
SHARED = Ground(True, MAC)
STANDING = PublicData(True, FIRST, "", None, PublicInterface(FIRST, OWN))
TOLD = "version 0: 203.0.113.5/24 via 203.0.113.1 on eth1"
LEFT_ETH1 = [("interface:eth1", "unclaim")]


def trying(wish: PublicWish, ground: Ground = OWN) -> PublicData:
    return evolve(STANDING, wish=wish, trying=PublicInterface(wish, ground))


def configured(wish: PublicWish) -> Event:
    return Event("configured", wish)


def test_every_guard_and_action_is_tested() -> None:
    assert untested(Public, __file__) == []


def test_at_first_there_is_nothing_and_nothing_is_asked() -> None:
    assert Public().initial("") == PublicData()
    assert PUBLIC.do("follow", PublicData()).effects == ()


def test_once_the_grid_knows_the_node_it_is_asked_for_what_is_not_known() -> None:
    data = PUBLIC.do("remember_grid", PublicData()).data
    assert PUBLIC.do("follow", data).effects == (FollowPublic(None, None),)
    assert PUBLIC.do("follow", STANDING).effects == (FollowPublic(FIRST, STANDING.standing),)


def test_what_stands_is_looked_at_while_the_grid_is_away() -> None:
    away = evolve(STANDING, is_registered=False)
    assert PUBLIC.do("follow", away).effects == (FollowPublic(FIRST, STANDING.standing),)


def test_the_wish_for_none_is_told_from_a_wish_for_one() -> None:
    assert agreed(PUBLIC.ask("none_is_wished", STANDING, configured(NONE))) == "version 3 wishes none"
    assert refused(PUBLIC.ask("none_is_wished", STANDING, configured(FIRST))) == f"{TOLD} is wished"


def test_what_stands_is_known_again_whatever_its_version() -> None:
    assert PUBLIC.ask("is_what_stands", STANDING, configured(evolve(FIRST, version=7))).holds
    assert not PUBLIC.ask("is_what_stands", STANDING, configured(SECOND)).holds
    assert not PUBLIC.ask("is_what_stands", PublicData(), configured(FIRST)).holds
    kept = PUBLIC.do("keep", STANDING, configured(evolve(FIRST, version=7))).data
    assert kept.standing == PublicInterface(evolve(FIRST, version=7), OWN)


def test_a_wish_that_contradicts_itself_is_not_sound() -> None:
    assert agreed(PUBLIC.ask("is_sound", STANDING, configured(FIRST))) == TOLD
    wrong = evolve(FIRST, gateway4=ip_address("192.0.2.1"))
    assert "expected a gateway inside 203.0.113.0/24" in refused(PUBLIC.ask("is_sound", STANDING, configured(wrong)))


def test_it_is_known_whether_something_stands() -> None:
    assert PUBLIC.ask("something_stands", STANDING).holds and not PUBLIC.ask("nothing_stands", STANDING).holds
    assert not PUBLIC.ask("something_stands", PublicData()).holds and PUBLIC.ask("nothing_stands", PublicData()).holds


def test_another_try_is_for_what_may_work_on_another_day() -> None:
    assert PUBLIC.ask("is_worth_another_try", PublicData(wish=FIRST, refusal="no NIC")).holds
    hopeless = PublicData(wish=evolve(FIRST, gateway4=None), refusal="no gateway")
    assert refused(PUBLIC.ask("is_worth_another_try", hopeless)) == "no gateway"
    assert PUBLIC.do("try_again", evolve(STANDING, refusal="no NIC")).data == STANDING


def test_the_newest_is_refused_until_there_is_another() -> None:
    refused_one = PUBLIC.do("refuse", evolve(STANDING, wish=SECOND), Event("step_failed", reason="no NIC")).data
    assert refused_one.refusal == "version 1: 203.0.113.6/24 via 203.0.113.1 on eth1: no NIC"
    assert PUBLIC.ask("newest_is_refused", refused_one).holds
    assert not PUBLIC.ask("newest_is_refused", STANDING).holds
    assert PUBLIC.do("remember_wish", refused_one, configured(ELSEWHERE)).data == evolve(STANDING, wish=ELSEWHERE)


def test_a_step_that_came_to_no_end_is_a_reason_too() -> None:
    late = PUBLIC.do("refuse", STANDING, Event("timeout"), state="verifying").data
    assert late.refusal == f"{TOLD}: verifying came to no end in time"


def test_the_uplink_matters_where_it_meets_the_nic() -> None:
    moved = Event("uplink_moved", UplinkMoved("eth1"), "eth1 is the uplink's NIC")
    assert agreed(PUBLIC.ask("is_on_the_master", STANDING, moved)) == "eth1 is the uplink's NIC"
    assert not PUBLIC.ask("is_on_the_master", STANDING, Event("uplink_moved", UplinkMoved("eth2"))).holds
    assert not PUBLIC.ask("is_on_the_master", PublicData(), moved).holds
    shared = evolve(STANDING, standing=PublicInterface(FIRST, SHARED))
    assert PUBLIC.ask("is_on_the_master", shared, Event("uplink_moved", UplinkMoved("eth2"))).holds


def test_a_start_claims_the_nic_again_and_forgets_what_was_being_tried() -> None:
    change = PUBLIC.do("begin_anew", trying(ELSEWHERE))
    assert change.data == evolve(STANDING, is_registered=False)
    assert told(change.effects) == [("interface:eth2", "unclaim"), ("interface:eth1", "claim")]
    assert change.effects[0] == LeavePublic(PublicInterface(ELSEWHERE, OWN))


def test_a_start_remembers_what_was_refused() -> None:
    refused_one = evolve(STANDING, wish=SECOND, refusal="no NIC")
    assert PUBLIC.do("begin_anew", refused_one).data == evolve(refused_one, is_registered=False)
    never = PublicData(wish=FIRST)
    assert PUBLIC.do("begin_anew", never).data == PublicData()


def test_a_nic_that_carries_the_node_too_is_not_claimed() -> None:
    shared = evolve(STANDING, standing=PublicInterface(FIRST, SHARED))
    assert PUBLIC.do("begin_anew", shared).effects == ()
    assert PUBLIC.do("claim", trying(FIRST, SHARED)).effects == ()
    assert told(PUBLIC.do("claim", trying(FIRST)).effects) == [("interface:eth1", "claim")]


def test_with_no_wish_the_networks_move_before_the_namespace_goes() -> None:
    change = PUBLIC.do("abandon", STANDING, configured(NONE))
    assert change.data.standing is None
    gone = [("dmz", "public_gone"), *LEFT_ETH1, ("registration", "inventory_changed")]
    assert told(change.effects) == gone
    assert LookAtNetworks() in change.effects
    assert PUBLIC.do("abandon", PublicData(), configured(NONE)).effects == ()


def test_each_step_asks_for_its_own() -> None:
    data = trying(SECOND)
    tried = data.trying
    assert tried is not None
    assert PUBLIC.do("examine", data).effects == (ExaminePublic(SECOND),)
    assert PUBLIC.do("make", data).effects == (MakePublic(tried),)
    assert PUBLIC.do("verify", data).effects == (VerifyPublic(tried, STANDING.standing),)
    assert PUBLIC.do("switch", data).effects == (SwitchPublic(tried),)
    assert PUBLIC.do("confirm", data).effects == (ConfirmPublic(tried),)
    assert PUBLIC.do("restore", data).effects == (RestorePublic(STANDING.standing),)
    assert PUBLIC.do("remove", data).effects == (RemovePublic(tried),)
    assert PUBLIC.do("remove", STANDING).effects == (RemovePublic(STANDING.standing),)


def test_a_ground_that_is_stood_on_already_keeps_its_own_mac() -> None:
    exchanged = Ground(False, "02:00:00:00:00:99")
    same = PUBLIC.do("remember_ground", evolve(STANDING, wish=SECOND), Event("examined", exchanged)).data
    assert same.trying == PublicInterface(SECOND, OWN)
    other = PUBLIC.do("remember_ground", evolve(STANDING, wish=ELSEWHERE), Event("examined", exchanged)).data
    assert other.trying == PublicInterface(ELSEWHERE, exchanged)


def test_the_first_one_that_is_accepted_moves_the_networks_and_a_later_one_does_not() -> None:
    first = PUBLIC.do("accept", PublicData(True, FIRST, "", PublicInterface(FIRST, OWN)))
    assert first.data == STANDING
    assert LookAtNetworks() in first.effects
    later = PUBLIC.do("accept", trying(SECOND))
    assert later.data.standing == PublicInterface(SECOND, OWN)
    assert told(later.effects) == [("registration", "inventory_changed")]
    assert LookAtNetworks() not in later.effects


def test_another_nic_gives_the_one_before_back() -> None:
    change = PUBLIC.do("accept", trying(ELSEWHERE))
    assert change.effects[0] == LeavePublic(PublicInterface(FIRST, OWN))
    assert told(change.effects)[0] == ("interface:eth1", "unclaim")


def test_another_vlan_of_the_same_nic_leaves_it_claimed() -> None:
    change = PUBLIC.do("accept", trying(TAGGED))
    assert change.effects[0] == LeavePublic(PublicInterface(FIRST, OWN))
    assert told(change.effects) == [("registration", "inventory_changed")]


def test_what_is_given_up_leaves_its_nic_unless_something_stands_there() -> None:
    assert PUBLIC.do("give_up", trying(SECOND)).effects == ()
    assert PUBLIC.do("give_up", trying(SECOND)).data == evolve(STANDING, wish=SECOND)
    assert told(PUBLIC.do("give_up", trying(ELSEWHERE)).effects) == [("interface:eth2", "unclaim")]
    alone = evolve(trying(FIRST), standing=None)
    assert told(PUBLIC.do("give_up", alone).effects) == LEFT_ETH1


def test_the_dmz_hears_which_way_it_has() -> None:
    tell = only(PUBLIC.do("announce", STANDING).effects)
    assert (tell.to, tell.trigger, tell.reason) == ("dmz", "connected", TOLD)
    assert tell.data == WayOut(WayKind.PUBLIC, "public", (ip_interface("203.0.113.5/24").network,))
    assert told(PUBLIC.do("announce", PublicData()).effects) == [("dmz", "public_gone")]
