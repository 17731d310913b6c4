"""How often the status is written: soon after each change, and for a small part of the time."""

from __future__ import annotations

import asyncio

from attrs import define, field

from zosfsm.node.status_pace import REST, StatusPace


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes where somebody says so, and to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now


@define
class Status:
    """What is written takes a second; what is wanted is what the loop would write."""

    loop: VirtualLoop
    wanted: int = 0
    written: list[tuple[float, int]] = field(factory=list)
    woken: int = 0

    def write(self) -> None:
        self.written.append((self.loop.now, self.wanted))
        self.loop.now += 1

    def wake(self) -> None:
        self.woken += 1


def _run(changes: list[float]) -> Status:
    """The loop asks at each of these times, and whenever it was woken."""
    loop = VirtualLoop()
    status = Status(loop)

    async def story() -> None:
        pace = StatusPace(status.write, status.wake)
        last = max(changes) + 100
        for second in range(int(last)):
            loop.now = max(loop.now, float(second))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            due = [change for change in changes if change <= loop.now]
            if due or status.woken:
                changes[:] = changes[len(due) :]
                status.wanted += len(due)
                status.woken = 0
                pace.asked()

    try:
        loop.run_until_complete(story())
    finally:
        loop.close()
    return status


def test_the_first_change_is_written_at_once() -> None:
    assert _run([5.0]).written == [(5.0, 1)]


def test_changes_that_come_while_it_rests_are_written_together_afterwards() -> None:
    found = _run([0.0, 2.0, 3.0, 4.0]).written
    assert [wanted for _, wanted in found] == [1, 4]
    assert found[1][0] == 1 + REST


def test_many_changes_cost_a_tenth_of_the_time_and_the_last_one_is_written() -> None:
    found = _run([float(second) for second in range(300)]).written
    assert len(found) <= 300 / (1 + REST) + 2
    assert found[-1][1] == 300


def test_after_a_rest_a_change_is_written_at_once() -> None:
    assert [at for at, _ in _run([0.0, 50.0]).written] == [0.0, 50.0]
