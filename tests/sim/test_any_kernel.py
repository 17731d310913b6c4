"""Thousands of random histories over a kernel in which any call may fail, break off halfway, hang or lie, and in which
the process may be killed at any moment: no leak, no port or address twice, nothing of others touched, the status true.

The machines, the executor, the edges and what they do in the kernel are the node's own; only the kernel itself and the
grid are simulated. SIM_HISTORIES is how many there are to be (CI makes few), SIM_STEPS how long they get.
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.sim.grid import SimGrid
from tests.sim.kernel import Outcome, SimDevice, SimKernel, SimNamespace, Trap, whole
from tests.sim.kernel_in_use import OURS
from tests.sim.kernel_rooms import simulated
from tests.sim.process import SimNode
from tests.sim.truth import clashing, differing, leaked, resources, unsaid, unsettled, untrue
from zosfsm.lifecycles.resource import PeerFacts

HISTORIES = int(os.environ.get("SIM_HISTORIES", "800"))
STEPS = int(os.environ.get("SIM_STEPS", "12"))
# Two of one user, one of another; all in the same subnet.
NETWORKS = {"AliceFirst111": "alice", "AliceSecond22": "alice", "Bob1111111111": "bob"}
PORTS = (3000, 3001, 3002)
# A look each minute and its jitter, an effect's time-out, and what the machine waits at most before it tries again.
NOTICED_SECONDS = 66 + 60
REST_SECONDS = 3600
HANGING_SECONDS = (0.01, 3.0, 400.0)
MAKING = (
    "create namespace",
    "set sysctl",
    "apply firewall",
    "make bridge",
    "make veth",
    "make macvlan",
    "put into bridge",
    "switch on",
    "set MTU",
    "add address",
    "set route",
    "start WireGuard",
    "configure WireGuard",
)
REMOVING = (
    "delete namespace",
    "remove firewall",
    "delete link",
    "delete WireGuard",
    "switch off",
    "remove address",
    "remove route",
    "kill process",
    "remove socket",
)
ASKING = (
    "read WireGuard",
    "find link",
    "look for namespace",
    "look whose namespace",
    "take fingerprint",
    "read firewall",
    "",
)
networks, ports = st.sampled_from(sorted(NETWORKS)), st.sampled_from(PORTS)
moments = st.sampled_from((0.0, 0.006, 0.011, 0.016, 0.021, 0.026, 0.05, 1.0, 1.0, 5.0, 5.0, 62.0, 400.0))


def traps_for(*calls: str) -> st.SearchStrategy[Trap]:
    """One call of these that comes out otherwise."""
    return st.builds(
        Trap,
        call=st.sampled_from(calls),
        outcome=st.sampled_from(Outcome),
        about=st.just("") | networks,
        skip=st.integers(0, 3),
        seconds=st.sampled_from(HANGING_SECONDS),
    )


@frozen
class Wish:
    """What a user reserves."""

    network: str
    port: int
    peers: int
    key: int
    lasts: int


wishes = st.builds(
    Wish, networks, ports, st.integers(0, 2), st.integers(1, 2), st.sampled_from((10**7, 10**7, 10**7, 300, 2))
)


def key(number: int) -> str:
    """A WireGuard key."""
    return base64.b64encode(bytes([number] * 32)).decode()


PEERS = (
    PeerFacts(key(101), (IPv4Network("10.1.2.0/24"), IPv4Network("100.64.1.2/32")), (IPv4Address("192.0.2.9"), 4000)),
    PeerFacts(key(102), (IPv4Network("10.1.3.0/24"),), None),
)


def damage_inside(kernel: SimKernel, place: SimNamespace, what: str) -> None:
    """Somebody was in a network's namespace."""
    if what == "held":
        place.is_held = True
    elif what == "namespace":
        place.is_held = False
        assert place.name is not None
        kernel.remove_name(place.name)
    elif what == "firewall":
        place.tables.clear()
        place.generation += 1
    for link in place.links.values():
        if what == "address":
            link.addresses.clear()
        elif what == "route":
            link.routes.clear()


class AnyKernel(RuleBasedStateMachine):
    """One node over one kernel; what goes wrong and when is hypothesis's choice."""

    def __init__(self) -> None:
        super().__init__()
        self.is_honest = True
        self.wrong_since: dict[str, float] = {}

    @initialize(seed=st.integers(0, 99), grain=st.sampled_from((0.0, 0.0, 0.2)))
    def boots(self, seed: int, grain: float) -> None:
        self.kernel = SimKernel(seed, grain)
        self.grid = SimGrid()
        self.node = SimNode(self.kernel, self.grid, differing)
        self.node.start()
        self.node.wait(5)

    # What users do

    @rule(some=st.lists(wishes, min_size=1, max_size=3), trap=st.none() | traps_for(*MAKING, *ASKING), seconds=moments)
    def reserves(self, some: list[Wish], trap: Trap | None, seconds: float) -> None:
        self._set(trap)
        for wish in some:
            self.grid.reserve(
                wish.network,
                self.node.now,
                wish.port,
                timedelta(seconds=wish.lasts),
                peers=PEERS[: wish.peers],
                user=NETWORKS[wish.network],
                sealed_private_key=key(wish.key).encode().hex(),
            )
        self.node.hear_of_it()
        self.node.wait(seconds)

    @precondition(lambda self: self.grid.reservations)
    @rule(back=st.integers(0, 2), trap=st.none() | traps_for(*REMOVING, *ASKING), seconds=moments)
    def deletes(self, back: int, trap: Trap | None, seconds: float) -> None:
        self._set(trap)
        self.grid.delete(self.grid.reservations[-1 - back % len(self.grid.reservations)])
        self.node.hear_of_it()
        self.node.wait(seconds)

    @rule(seconds=moments)
    def waits(self, seconds: float) -> None:
        self.node.wait(seconds)

    # What goes wrong

    @rule(some=st.lists(traps_for(*MAKING, *REMOVING, *ASKING), min_size=1, max_size=4))
    def sets_traps(self, some: list[Trap]) -> None:
        for trap in some:
            self._set(trap)

    @rule(share=st.sampled_from((0.0, 0.01, 0.1)), seed=st.integers(0, 99))
    def the_weather_changes(self, share: float, seed: int) -> None:
        source = random.Random(seed)
        self.is_honest &= share == 0

        def weather(_call: str, _about: str) -> Trap | None:
            if source.random() >= share:
                return None
            return Trap("", source.choice(list(Outcome)), seconds=source.choice(HANGING_SECONDS))

        self.kernel.weather = weather if share else None

    @rule()
    def the_kernel_is_mended(self) -> None:
        self._mend()

    @rule(how=st.sampled_from(("killed", "killed", "power", "uplink lost", "uplink back", "disk")), seconds=moments)
    def it_ends_or_is_cut_off(self, how: str, seconds: float) -> None:
        if how in ("killed", "disk"):
            self.node.kill()
            if how == "disk":
                self.is_honest = False
                self.node.forget()
            self.node.start()
        elif how == "power":
            self.node.reboot()
        elif how == "uplink lost":
            self.node.disconnect()
        else:
            self.node.connect()
        self.node.wait(seconds)

    # What others do

    @rule(
        network=networks,
        what=st.sampled_from(("process", "b-", "l-", "namespace", "held", "firewall", "address", "route")),
    )
    def somebody_damages_it(self, network: str, what: str) -> None:
        self.node.damaged = self.node.loop.time()
        inside = self.kernel.namespaces.get(f"n-{network}")
        device = self.kernel.devices.get(f"w-{network}")
        if what == "process":
            if device is not None and device.is_running:
                self.kernel.kill_device(device)
        elif what in ("b-", "l-"):
            link = self.kernel.host.links.get(what + network)
            if link is not None and link.group == OURS:
                self.kernel.remove_link(link)
        elif inside is not None and inside.links["lo"].group == OURS:
            damage_inside(self.kernel, inside, what)

    @rule(name=st.sampled_from(("b-test", "l-test", *(f"{part}-{network}" for part in "bl" for network in NETWORKS))))
    def an_engineer_makes_a_link(self, name: str) -> None:
        if name not in self.kernel.host.links:
            self.kernel.add_link(self.kernel.host, name, "dummy")
            self._remember(f"host/{name}")

    @rule(what=st.sampled_from((*PORTS, "w-test", "n-test", *(f"n-{network}" for network in NETWORKS))))
    def an_engineer_makes_something(self, what: str | int) -> None:
        if isinstance(what, int):
            if self.kernel.port_holder(what, None) is None:
                self.kernel.foreign_ports[what] = "somebody's program"
                self._remember(f"port {what}")
        elif what == "w-test":
            if what not in self.kernel.devices:
                link = self.kernel.add_link(self.kernel.host, what, "tun")
                self.kernel.devices[what] = SimDevice(what, None, link, self.kernel.number(), is_ours=False)
                self._remember(f"host/{what}", f"process {what}")
        elif what not in self.kernel.namespaces:
            self.kernel.namespaces[what] = place = SimNamespace(what, self.kernel.number())
            self.kernel.add_link(place, "lo", "")
            self._remember(what, f"{what}/lo")

    @rule()
    def the_engineer_goes_home(self) -> None:
        self._forget()

    def _set(self, trap: Trap | None) -> None:
        if trap is not None:
            self.is_honest &= trap.outcome is not Outcome.LIES
            self.kernel.traps.append(evolve(trap))

    def _mend(self) -> None:
        self.kernel.traps.clear()
        self.kernel.weather = None

    def _remember(self, *names: str) -> None:
        self.kernel.foreign |= {name: what for name, what in whole(self.kernel).items() if name in names}

    def _forget(self) -> None:
        for place in self.kernel.everywhere():
            place.is_held = False
        for place in list(self.kernel.nameless):
            self.kernel.destroy(place)
        for name in self.kernel.foreign:
            if name.startswith("host/"):
                self.kernel.remove_link(self.kernel.host.links[name.removeprefix("host/")])
            elif name.startswith("port "):
                del self.kernel.foreign_ports[int(name.removeprefix("port "))]
            elif not name.startswith("process ") and not name.endswith("/lo"):
                self.kernel.remove_name(name)
        self.kernel.foreign.clear()

    # What holds all the time

    @invariant()
    def nothing_of_others_is_touched(self) -> None:
        found = whole(self.kernel)
        assert {name: found.get(name) for name in self.kernel.foreign} == self.kernel.foreign, self._story()

    @invariant()
    def nothing_is_there_twice(self) -> None:
        assert not self.is_honest or not list(clashing(self.node)), self._story(*clashing(self.node))

    @invariant()
    def what_is_said_to_be_active_is(self) -> None:
        """Or it is repaired, as soon as the watch has looked at it without being hindered."""
        now, wrong = self.node.loop.time(), list(untrue(self.node))
        if self.kernel.traps or self.kernel.weather or self.kernel.hanging or not wrong:
            self.wrong_since.clear()
            return
        self.wrong_since = {what: self.wrong_since.get(what, now) for what in wrong}
        overdue = [what for what, since in self.wrong_since.items() if now - since > NOTICED_SECONDS]
        assert not overdue, self._story(*overdue)

    @invariant()
    def what_is_said_to_be_gone_is(self) -> None:
        """Unless the kernel has lied, not even the census is needed for that."""
        assert not self.is_honest or not list(unsaid(self.node)), self._story(*unsaid(self.node))

    @invariant()
    def nothing_raised(self) -> None:
        assert not self.node.faults, self._story()

    def teardown(self) -> None:
        """At rest, with nothing in the way any more, all is as it should be."""
        if not hasattr(self, "node"):
            return
        self._mend()
        self._forget()
        self.node.connect()
        for _ in range(REST_SECONDS // 60):
            self.node.wait(60)
            if not list(unsettled(self.node)):
                break
        assert not list(unsettled(self.node)), self._story(*unsettled(self.node))
        for reservation in self.grid.reservations:
            self.grid.delete(reservation)
        self.node.hear_of_it()
        self.node.wait(60)
        assert not resources(self.node), self._story()
        assert not list(leaked(self.node, ())), self._story(*leaked(self.node, ()))
        self.node.close()

    def _story(self, *complaints: str) -> str:
        note(self.node.story(80))
        return "\n".join(["", *complaints])


@pytest.fixture(autouse=True)
def no_real_kernel() -> Iterator[None]:
    """Whatever the node imports of zosfsm.kernel is simulated."""
    with simulated():
        yield


def test_any_history_over_any_kernel_ends_well() -> None:
    run_state_machine_as_test(
        AnyKernel,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
