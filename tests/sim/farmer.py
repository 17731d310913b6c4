"""The farmer's public interface in the simulated world: what the kernel has of it, and how the node carries it out."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from attrs import define

from tests.sim.wire import Answer, Wire
from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Event
from zosfsm.lifecycles.public_data import FollowPublic, Ground, PublicInterface, PublicWish

ASKED_AGAIN = timedelta(seconds=30)
CONFIRMED_WITHIN = timedelta(seconds=30)
WISH = PublicWish(1, "eth1", None, IPv4Interface("203.0.113.5/24"), IPv4Address("203.0.113.1"))


@define(eq=False)
class Farmer(Wire):
    """`public` is what is in the namespace of that name."""

    public: PublicInterface | None = None

    def follow_public(self, emission: Emission, effect: FollowPublic) -> None:
        """Asks the grid and looks at the kernel as long as the machine stays in its state."""
        instance, wish = self.world.engine.instances.get(emission.machine), self.world.grid.public_wish
        if instance is None or instance.visit != emission.visit:
            return
        if effect.standing is not None and self.public != effect.standing:
            event = Event("differs", reason="it is not there", visit=emission.visit)
        elif self.reaches_the_grid() and wish not in (None, effect.known):
            event = Event("configured", wish, visit=emission.visit)
        else:
            self.world.at(ASKED_AGAIN, lambda: self.follow_public(emission, effect))
            return
        self.world.step(emission.machine, event)

    def _examine_public(self, _machine: str, effect: Any) -> Answer:
        nic = self.world.nics.get(effect.wish.master)
        if nic is None or not nic.present:
            return Event("step_failed", reason=f"{effect.wish.master} is not there")
        return Event("examined", Ground(self.bridge.nic == nic.name, nic.mac))

    def _make_public(self, _machine: str, _effect: Any) -> Answer:
        return Event("made")

    def _verify_public(self, _machine: str, effect: Any) -> Answer:
        if not self.world.nics[effect.trying.wish.master].carrier:
            return Event("step_failed", reason="there is no carrier")
        return Event("verified")

    def _switch_public(self, _machine: str, effect: Any) -> Answer:
        self.public = effect.trying
        return Event("switched")

    def _confirm_public(self, machine: str, _effect: Any) -> Answer:
        if self.reaches_the_grid():
            return Event("confirmed")
        waited = self.world.now - self.world.engine.instances[machine].since
        return timedelta(seconds=1) if waited < CONFIRMED_WITHIN else Event("step_failed", reason="no grid any more")

    def _restore_public(self, _machine: str, effect: Any) -> Answer:
        self.public = effect.standing
        return Event("restored")

    def _remove_public(self, _machine: str, _effect: Any) -> Answer:
        self.public = None
        return Event("gone")

    def _leave_public(self, _machine: str, _effect: Any) -> Answer:
        return None

    def _look_at_networks(self, _machine: str, _effect: Any) -> Answer:
        return None
