"""The farmer's public interface: the guards and actions of states/public.toml. Pure.

Each configuration is tried beside what stands, which is given up only once the new one has proven itself.
"""

from __future__ import annotations

from types import NoneType

from attrs import evolve

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes
from zosfsm.lifecycles.dmz import WayKind, WayOut
from zosfsm.lifecycles.public_data import (
    NAMESPACE,
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
from zosfsm.lifecycles.public_rules import fault, is_none, told

Here = Context[PublicData]
Next = Change[PublicData]


class Public(Lifecycle[PublicData]):
    """The code of states/public.toml."""

    name = "public"
    data_type = PublicData
    payloads = {
        "start": NoneType,
        "registered": NoneType,
        "configured": PublicWish,
        "examined": Ground,
        "made": NoneType,
        "verified": NoneType,
        "switched": NoneType,
        "confirmed": NoneType,
        "restored": NoneType,
        "step_failed": NoneType,
        "differs": NoneType,
        "uplink_moved": UplinkMoved,
        "teardown": NoneType,
        "gone": NoneType,
    }

    def initial(self, key: str) -> PublicData:
        return PublicData()

    @guard
    def none_is_wished(self, context: Here, event: Event) -> Verdict:
        wish = _wish(event)
        if is_none(wish):
            return yes(f"version {wish.version} wishes none")
        return no(f"{told(wish)} is wished")

    @guard
    def is_what_stands(self, context: Here, event: Event) -> Verdict:
        wish, standing = _wish(event), context.data.standing
        if standing is not None and evolve(standing.wish, version=wish.version) == wish:
            return yes(told(wish))
        return no(f"{told(wish)} is new")

    @guard
    def is_sound(self, context: Here, event: Event) -> Verdict:
        wish = _wish(event)
        found = fault(wish)
        return no(f"{told(wish)}: {found}") if found else yes(told(wish))

    @guard
    def nothing_stands(self, context: Here, event: Event) -> Verdict:
        standing = context.data.standing
        return yes("nothing stands") if standing is None else no(f"{told(standing.wish)} stays as it is")

    @guard
    def something_stands(self, context: Here, event: Event) -> Verdict:
        standing = context.data.standing
        return no("nothing stands") if standing is None else yes(told(standing.wish))

    @guard
    def is_worth_another_try(self, context: Here, event: Event) -> Verdict:
        wish = context.data.wish
        if wish is None or fault(wish):
            return no(context.data.refusal)
        return yes(f"{told(wish)} is tried again")

    @guard
    def newest_is_refused(self, context: Here, event: Event) -> Verdict:
        if context.data.refusal:
            return yes(context.data.refusal)
        return no("the farmer's last configuration was not refused")

    @guard
    def is_on_the_master(self, context: Here, event: Event) -> Verdict:
        assert isinstance(event.data, UplinkMoved)
        standing, link = context.data.standing, event.data.link
        if standing is None:
            return no("nothing stands")
        if standing.ground.carries_uplink or standing.wish.master == link:
            return yes(event.reason or f"the uplink has moved to or from {link}")
        return no(f"the public interface is on {standing.wish.master}, and not on {link}")

    # What the grid says

    @action
    def begin_anew(self, context: Here, event: Event) -> Next:
        # What was being tried when the process ended is read from the grid again.
        data = context.data
        standing = data.standing
        wish = data.wish if data.refusal else standing.wish if standing else None
        begun = evolve(data, is_registered=False, trying=None, wish=wish)
        return Change(begun, (*_left(data.trying, standing), *_claimed(standing)))

    @action
    def remember_grid(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, is_registered=True))

    @action
    def follow(self, context: Here, event: Event) -> Next:
        data = context.data
        if not data.is_registered and data.standing is None:
            return Change(data)
        return Change(data, (FollowPublic(data.wish, data.standing),))

    @action
    def remember_wish(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, wish=_wish(event), refusal=""))

    @action
    def abandon(self, context: Here, event: Event) -> Next:
        standing = context.data.standing
        if standing is None:
            return Change(context.data)
        gone = (*_left(standing, None), *_changed(), LookAtNetworks())
        return Change(evolve(context.data, standing=None), (Tell("dmz", "public_gone"), *gone))

    @action
    def keep(self, context: Here, event: Event) -> Next:
        standing = context.data.standing
        assert standing is not None  # a guard has seen it
        return Change(evolve(context.data, standing=evolve(standing, wish=_wish(event))))

    @action
    def refuse(self, context: Here, event: Event) -> Next:
        data = context.data
        assert data.wish is not None
        late = f"{context.state} came to no end in time"
        reason = fault(data.wish) or event.reason or late
        return Change(evolve(data, refusal=f"{told(data.wish)}: {reason}"))

    @action
    def try_again(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, refusal=""))

    # Step by step

    @action
    def examine(self, context: Here, event: Event) -> Next:
        assert context.data.wish is not None
        return Change(context.data, (ExaminePublic(context.data.wish),))

    @action
    def remember_ground(self, context: Here, event: Event) -> Next:
        data, ground = context.data, event.data
        assert isinstance(ground, Ground)
        assert data.wish is not None
        trying = PublicInterface(data.wish, ground)
        if data.standing is not None and trying.is_on_the_ground_of(data.standing):
            # The NIC may have another MAC address by now, which is not its own.
            trying = evolve(trying, ground=data.standing.ground)
        return Change(evolve(data, trying=trying))

    @action
    def make(self, context: Here, event: Event) -> Next:
        return Change(context.data, (MakePublic(_trying(context)),))

    @action
    def claim(self, context: Here, event: Event) -> Next:
        return Change(context.data, _claimed(_trying(context)))

    @action
    def verify(self, context: Here, event: Event) -> Next:
        return Change(context.data, (VerifyPublic(_trying(context), context.data.standing),))

    @action
    def switch(self, context: Here, event: Event) -> Next:
        return Change(context.data, (SwitchPublic(_trying(context)),))

    @action
    def confirm(self, context: Here, event: Event) -> Next:
        return Change(context.data, (ConfirmPublic(_trying(context)),))

    @action
    def accept(self, context: Here, event: Event) -> Next:
        former, standing = context.data.standing, _trying(context)
        effects: tuple[Effect, ...] = (*_left(former, standing), *_changed())
        if former is None:
            effects = (*effects, LookAtNetworks())
        return Change(evolve(context.data, standing=standing, trying=None), effects)

    @action
    def give_up(self, context: Here, event: Event) -> Next:
        data = context.data
        return Change(evolve(data, trying=None), _left(data.trying, data.standing))

    # What stands

    @action
    def restore(self, context: Here, event: Event) -> Next:
        return Change(context.data, (RestorePublic(context.data.standing),))

    @action
    def announce(self, context: Here, event: Event) -> Next:
        standing = context.data.standing
        if standing is None:
            return Change(context.data, (Tell("dmz", "public_gone"),))
        way = WayOut(WayKind.PUBLIC, NAMESPACE, standing.wish.networks)
        return Change(context.data, (Tell("dmz", "connected", way, told(standing.wish)),))

    @action
    def remove(self, context: Here, event: Event) -> Next:
        # Half of what was tried may be there instead.
        return Change(context.data, (RemovePublic(context.data.trying or context.data.standing),))


def _claimed(interface: PublicInterface | None) -> tuple[Effect, ...]:
    """A NIC that carries the node too goes on being able to."""
    if interface is None or interface.ground.carries_uplink:
        return ()
    return (Tell(f"interface:{interface.wish.master}", "claim", None, "it carries the public interface"),)


def _left(interface: PublicInterface | None, for_another: PublicInterface | None) -> tuple[Effect, ...]:
    """What becomes of the NIC of one that goes."""
    if interface is None or interface.is_on_the_ground_of(for_another):
        return ()
    if for_another is not None and for_another.wish.master == interface.wish.master:
        return (LeavePublic(interface),)
    name = f"interface:{interface.wish.master}"
    return (LeavePublic(interface), Tell(name, "unclaim", None, "it does not carry the public interface any more"))


def _changed() -> tuple[Effect, ...]:
    return (Tell("registration", "inventory_changed", None, "the public interface has changed"),)


def _trying(context: Here) -> PublicInterface:
    assert context.data.trying is not None  # remember_ground comes before every state that asks
    return context.data.trying


def _wish(event: Event) -> PublicWish:
    assert isinstance(event.data, PublicWish)
    return event.data
