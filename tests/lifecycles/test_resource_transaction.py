"""A network resource's build is a transaction, whatever fails, hangs, or is wished in the middle of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from itertools import product

import pytest
from attrs import evolve

from tests.lifecycles.asking import NOW
from zosfsm.fsm.engine import Emission, Emissions, Engine, Snapshot
from zosfsm.fsm.lifecycle import Effect, Event, Tell, Together
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.lifecycles.delivery import Fate, Outcome
from zosfsm.lifecycles.resource import DeleteAsked, NetworkFacts, Place, ReservationFacts

NET = "resource:net1"
MACHINES = [(definition, lifecycle) for definition, lifecycle in catalogue() if definition.name == "resource"]
NETWORK = NetworkFacts("net1", "office", IPv4Network("10.1.0.0/16"), IPv4Network("10.1.1.0/24"), 3000, "key", "ab", ())
FIRST = ReservationFacts("1-1", "user", "node", "node", "network", NOW + timedelta(days=30), True, "", NETWORK)
SECOND = evolve(FIRST, reservation_id="2-1", network=evolve(NETWORK, listen_port=3001))
PLACE = Place(3000, IPv4Address("100.127.0.5"))
MADE = {
    "ReservePort": ("port", Event("reserved", PLACE)),
    "MakeNamespace": ("namespace", Event("built")),
    "SecureNetwork": ("firewall", Event("secured")),
    "MakeLinks": ("links", Event("connected")),
    "MakeTunnel": ("tunnel", Event("connected")),
}
UNDONE = {
    "ReleasePort": "port",
    "RemoveNamespace": "namespace",
    "OpenNetwork": "firewall",
    "RemoveLinks": "links",
    "RemoveTunnel": "tunnel",
}
STEPS = (*MADE, "VerifyNetwork")
ALL = frozenset(part for part, _ in MADE.values())
BUILDING = ("reserving", "building", "securing", "connecting", "verifying")
FAILED = Event("step_failed", reason="no")
DELETE = Event("delete", DeleteAsked("1-1", "network"))
RESERVE = Event("reserve", FIRST)


class Fake:
    """A machine and a kernel that it works on: one effect after the other, as the executor carries them out.

    `spoilt` are how often an effect fails yet, before it is done or after; `hanging` is one that comes to no end until
    `let_go`.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.engine = Engine(MACHINES, "seed", lambda _record: None)
        self.kernel: set[str] = set()
        self.line: deque[Emission] = deque()
        self.before: Counter[str] = Counter()
        self.after: Counter[str] = Counter()
        self.hanging = ""
        self.outcomes: list[Outcome] = []
        self.states: list[str] = []
        self.done: list[str] = []

    @property
    def state(self) -> str:
        """Its state, or that it is gone."""
        instance = self.engine.instances.get(NET)
        return instance.state if instance else "gone"

    def hear(self, event: Event) -> None:
        """An event, without any effect being carried out."""
        self._keep(self.engine.step(NET, event, self.now))

    def work(self, until: Callable[[], bool] = lambda: False) -> None:
        """Carries out what was asked for, and lets time pass where nothing else does; up to `until` or a rest."""
        for _ in range(200):
            if until() or (not self.line and not self._time_helps()):
                return
            if self.line and not self._hangs(self.line[0].effect):
                emission = self.line.popleft()
                outcome = self._done(emission.effect)
                if outcome is not None:
                    self.hear(evolve(outcome, visit=emission.visit))
            else:
                self._wait()
        raise AssertionError(f"it comes to no rest: {self.states[-10:]}")

    def let_go(self) -> None:
        """The kernel answers again: what hung is done."""
        self.hanging = ""

    def restart(self) -> None:
        """The process is killed, with what it still wanted done."""
        snapshot = self._snapshot()
        self.line.clear()
        self.engine = Engine(MACHINES, "seed", lambda _record: None)
        if snapshot is not None:
            self.engine.restore(snapshot)
            self.hear(Event("start"))

    def _snapshot(self) -> Snapshot | None:
        return self.engine.snapshot(NET) if NET in self.engine.instances else None

    def _keep(self, emissions: Emissions) -> None:
        self.states.append(self.state)
        for emission in emissions:
            effect = emission.effect
            if not isinstance(effect, Tell):
                self.line.append(emission)
            elif isinstance(effect.data, Outcome):
                self.outcomes.append(effect.data)

    def _hangs(self, effect: Effect) -> bool:
        return self.hanging in _names(effect)

    def _time_helps(self) -> bool:
        due = self.engine.next_deadline()
        return due is not None and due < NOW + timedelta(days=1)

    def _wait(self) -> None:
        due = self.engine.next_deadline()
        assert due is not None, "it waits for ever"
        self.now = max(self.now, due)
        self._keep(self.engine.tick(self.now))

    def _done(self, effect: Effect) -> Event | None:
        if isinstance(effect, Together):
            outcomes = [self._done(part) for part in effect.effects]
            return next((one for one in outcomes if one == FAILED), outcomes[-1])
        name = type(effect).__name__
        self.done.append(name)
        if self.before[name]:
            self.before[name] -= 1
            return FAILED
        outcome = self._carried_out(name)
        if self.after[name]:
            self.after[name] -= 1
            return FAILED
        return outcome

    def _carried_out(self, name: str) -> Event | None:
        if name in MADE:
            self.kernel.add(MADE[name][0])
            return MADE[name][1]
        if name in UNDONE:
            self.kernel.discard(UNDONE[name])
            return Event("undone")
        if name == "TearDownNetwork":
            self.kernel.clear()
            return Event("torn_down")
        if name == "ApplyNetwork":
            self.kernel |= ALL
            return Event("applied", PLACE)
        if name == "VerifyNetwork":
            return Event("verified") if self.kernel == ALL else FAILED
        return None


def _names(effect: Effect) -> Iterator[str]:
    for part in effect.effects if isinstance(effect, Together) else (effect,):
        yield type(part).__name__


def at(state: str) -> Fake:
    """A build that has come to that state, whose effect is not carried out yet."""
    fake = Fake()
    fake.hear(RESERVE)
    fake.work(lambda: fake.state == state)
    assert fake.state == state
    return fake


def fates(fake: Fake) -> list[tuple[str, Fate]]:
    """What the user was told."""
    return [(outcome.reservation_id, outcome.fate) for outcome in fake.outcomes]


def test_a_build_in_which_nothing_fails_is_complete() -> None:
    fake = at("active")
    fake.work()
    assert (fake.kernel, fates(fake)) == (ALL, [("1-1", Fate.SERVED)])
    assert fake.engine.instances[NET].data.begun == ()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_whichever_step_fails_all_is_undone_and_the_user_is_told_once(step: str, moment: str) -> None:
    fake = Fake()
    getattr(fake, moment)[step] = 1
    fake.hear(RESERVE)
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("failed", set(), [("1-1", Fate.REFUSED)])
    assert fake.outcomes[0].error.endswith(": no; all that was made is undone")
    assert fake.engine.instances[NET].data.begun == ()


@pytest.mark.parametrize(("step", "inverse"), list(product(STEPS, UNDONE)))
def test_an_inverse_that_fails_is_tried_until_nothing_is_left_and_only_then_is_the_user_told(
    step: str, inverse: str
) -> None:
    fake = Fake()
    fake.after[step] = 1
    fake.after[inverse] = 2
    fake.before[inverse] = 2
    fake.hear(RESERVE)
    fake.work(lambda: fake.state == "rollback_blocked")
    if fake.state == "rollback_blocked":
        assert fake.outcomes == []
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("failed", set(), [("1-1", Fate.REFUSED)])


def test_only_what_was_begun_is_undone_and_the_last_first() -> None:
    fake = Fake()
    fake.before["SecureNetwork"] = 1
    fake.hear(RESERVE)
    fake.work()
    assert fake.done == [
        "ReservePort",
        "MakeNamespace",
        "SecureNetwork",
        "OpenNetwork",
        "RemoveNamespace",
        "ReleasePort",
    ]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("wish", ["nothing", "delete", "teardown", "new version"])
def test_what_a_step_does_after_it_was_given_up_is_undone_all_the_same(step: str, wish: str) -> None:
    fake = Fake()
    fake.hanging = step
    fake.hear(RESERVE)
    fake.work(lambda: fake.state == "rollback_blocked")
    said = fake.engine.instances[NET].reason
    assert "still waits for the kernel" in said
    assert fake.outcomes == []
    for event in {
        "nothing": (),
        "delete": (DELETE,),
        "teardown": (Event("teardown"),),
        "new version": (Event("reserve", SECOND),),
    }[wish]:
        fake.hear(event)
    fake.let_go()
    fake.work()
    if wish == "new version":
        assert (fake.state, fake.kernel) == ("active", ALL)
        assert fates(fake) == [("1-1", Fate.REFUSED), ("2-1", Fate.SERVED)]
    else:
        assert (fake.state, fake.kernel) == ("failed" if wish == "nothing" else "gone", set())


@pytest.mark.parametrize("state", BUILDING)
@pytest.mark.parametrize("is_carried_out", [False, True])
def test_whatever_is_wished_in_any_state_of_a_build_ends_well(state: str, is_carried_out: bool) -> None:
    def fresh() -> Fake:
        fake = at(state)
        if is_carried_out:
            # It is done in the kernel, and its answer is not heard yet.
            fake._done(fake.line[0].effect)
        return fake

    fake = fresh()
    fake.hear(DELETE)
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("gone", set(), [("1-1", Fate.DELETED)])

    fake = fresh()
    fake.hear(Event("teardown"))
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("gone", set(), [])

    fake = fresh()
    fake.hear(Event("reserve", SECOND))
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("active", ALL, [("1-1", Fate.SERVED), ("2-1", Fate.SERVED)])

    fake = fresh()
    fake.restart()
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("active", ALL, [("1-1", Fate.SERVED)])

    fake = fresh()
    fake.restart()
    fake.before["ReservePort"] = 1
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("failed", set(), [("1-1", Fate.REFUSED)])


@pytest.mark.parametrize("step", STEPS)
def test_a_node_that_is_killed_in_the_middle_of_an_undoing_goes_on_with_it(step: str) -> None:
    for killed_after in range(8):
        fake = Fake()
        fake.after[step] = 1
        fake.hear(RESERVE)
        fake.work(lambda fake=fake: fake.state == "rolling_back")  # type: ignore[misc]
        goal = len(fake.states) + killed_after
        fake.work(lambda fake=fake, goal=goal: len(fake.states) >= goal or fake.state == "failed")  # type: ignore[misc]
        fake.restart()
        fake.work()
        assert (fake.state, fake.kernel, fates(fake)) == ("failed", set(), [("1-1", Fate.REFUSED)])


def test_a_reservation_that_expires_while_its_build_is_undone_leaves_nothing() -> None:
    expiring = evolve(FIRST, expiry=NOW + timedelta(minutes=1))
    fake = Fake()
    fake.hanging = "MakeTunnel"
    fake.hear(Event("reserve", expiring))
    fake.work(lambda: fake.state == "rollback_blocked")
    fake.let_go()
    fake.work()
    assert (fake.state, fake.kernel, fates(fake)) == ("gone", set(), [("1-1", Fate.REFUSED)])
