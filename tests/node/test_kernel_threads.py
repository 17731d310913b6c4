"""Work in the kernel's threads: begun in order, as many at a time as there are threads, never in the way of the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from zosfsm.kernel.errors import KernelError
from zosfsm.node.kernel_threads import KernelThreads

pytestmark = [pytest.mark.anyio]


async def test_work_runs_in_order_in_one_thread_that_is_not_the_loops() -> None:
    kernel, done = KernelThreads(1), list[tuple[int, int]]()
    await asyncio.gather(
        *(kernel.run(lambda number=number: done.append((number, threading.get_ident()))) for number in range(20))
    )
    assert [number for number, _ in done] == list(range(20))
    threads = {thread for _, thread in done}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.get_ident()})
    assert kernel.close(20)


async def test_as_many_pieces_run_at_once_as_there_are_threads() -> None:
    kernel, together = KernelThreads(3), threading.Barrier(3)
    assert sorted(await asyncio.gather(*(kernel.run(together.wait) for _ in range(6)))) == [0, 0, 1, 1, 2, 2]
    assert kernel.close(20)


async def test_a_piece_that_hangs_does_not_hold_up_the_others() -> None:
    kernel, gate = KernelThreads(2), threading.Event()
    hanging = asyncio.create_task(kernel.run(gate.wait))
    assert [await kernel.run(lambda number=number: number) for number in range(5)] == list(range(5))
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert await kernel.run(lambda: "after it was given up") == "after it was given up"
    assert not kernel.close(0.01)
    gate.set()


async def test_what_work_raises_reaches_whoever_asked_and_the_next_piece_runs() -> None:
    kernel = KernelThreads(1)

    def refused() -> None:
        raise KernelError("do it", "no")

    with pytest.raises(KernelError, match="cannot do it: no"):
        await kernel.run(refused)
    assert await kernel.run(lambda: 7) == 7
    assert kernel.close(20)


async def test_work_that_was_given_up_before_its_turn_is_not_begun() -> None:
    kernel, gate, began = KernelThreads(1), threading.Event(), list[str]()
    first = asyncio.create_task(kernel.run(gate.wait))
    second = asyncio.create_task(kernel.run(lambda: began.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    assert await first
    assert await kernel.run(lambda: "third") == "third"
    assert began == []
    assert kernel.close(20)


async def test_closing_does_not_wait_for_a_kernel_that_never_answers_and_begins_nothing_more() -> None:
    kernel, begun, gate, began = KernelThreads(1), threading.Event(), threading.Event(), list[str]()

    def hang() -> bool:
        begun.set()
        return gate.wait()

    hanging = asyncio.create_task(kernel.run(hang))
    waiting = asyncio.create_task(kernel.run(lambda: began.append("waiting")))
    await asyncio.sleep(0)
    assert begun.wait(20)
    assert not kernel.close(0.01)
    gate.set()
    assert await hanging
    waiting.cancel()
    assert began == []
    with pytest.raises(RuntimeError, match="found them closed"):
        await kernel.run(lambda: None)


async def test_closing_what_never_worked_is_at_once() -> None:
    assert KernelThreads(1).close(0)
