"""A loop whose time moves only when everybody sleeps, and threads of which never two run at once. No clock is read.

What the node does in its loop and in its kernel threads runs here as it is: any piece of blocking work may be held up
in the middle for as long as a test likes, in an order that is the same every time.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The process of which this thread was a part is no more. No code of the node's may catch it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at 0 s."""

    def __init__(self) -> None:
        super().__init__()
        self._moment = 0.0
        self._selector = self

    def time(self) -> float:
        return self._moment

    def run_for(self, seconds: float) -> None:
        """Lets so much time pass, and everything happen that is due; less where somebody stops it."""
        end = self.call_at(self._moment + seconds, self.stop)
        self.run_forever()
        end.cancel()

    # What BaseEventLoop asks of the selector, which this is itself.

    def select(self, timeout: float | None) -> tuple[()]:
        assert timeout is not None, "the loop would sleep for ever"
        self._moment += timeout
        return ()

    def _process_events(self, event_list: Any) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody waits outside of the loop."""


class Strand:
    """Blocking work in a thread of its own, which runs only inside `resume`."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.is_over = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_killed = False
        self._asked: float | None = None
        self._runner = _idle.pop() if _idle else _Runner()

    def resume(self) -> float | None:
        """Runs it up to its next pause, and answers how long that is to be; None at its end."""
        assert not self.is_over
        self._asked = None
        self._runner.run(self)
        if self.is_over:
            _idle.append(self._runner)
        return self._asked

    def kill(self) -> None:
        """It does not come back from the pause in which it is."""
        self.is_killed = True
        while not self.is_over:
            self.resume()

    def die(self) -> NoReturn:
        """In its own thread: the process is killed at this very moment."""
        self.is_killed = True
        raise Killed

    def pause(self, seconds: float) -> None:
        """In its own thread: goes on after this time, if ever. Raises Killed."""
        self._asked = seconds
        self._runner.give_back()
        if self.is_killed:
            raise Killed

    def run(self) -> None:
        """In its own thread: all of it."""
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            self.error = error
        self.is_over = True


class _Runner:
    """A thread that is used again: starting one takes as long as most of what it does."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._strand: Strand | None = None
        threading.Thread(target=self._work_off, name="strand", daemon=True).start()

    def run(self, strand: Strand) -> None:
        self._strand = strand
        here.strands.append(strand)
        self._go.release()
        self._back.acquire()
        here.strands.pop()

    def give_back(self) -> None:
        self._back.release()
        self._go.acquire()

    def _work_off(self) -> None:
        while True:
            self._go.acquire()
            assert self._strand is not None
            self._strand.run()
            self._back.release()


_idle: list[_Runner] = []


class _Here:
    """Which strand runs now; never two do."""

    def __init__(self) -> None:
        self.strands: list[Strand] = []

    @property
    def strand(self) -> Strand | None:
        return self.strands[-1] if self.strands else None


here = _Here()


class SimLock:
    """`threading.Lock` and `RLock` for strands: who has to wait for it lets the others go on."""

    def __init__(self) -> None:
        self._holder: Strand | None = None
        self._depth = 0

    def __enter__(self) -> None:
        while self._depth and self._holder is not here.strand:
            assert here.strand is not None, "the loop itself would wait for ever"
            here.strand.pause(0.01)
        self._holder, self._depth = here.strand, self._depth + 1

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1


class SimKernelThreads:
    """`zosfsm.node.kernel_threads.KernelThreads`: so many pieces of work at once, in the order of their coming.

    `work_seconds` is how long any of them takes at least; `on_death` is told where one of them has killed the process.
    """

    def __init__(self, count: int, on_death: Callable[[], None], work_seconds: float = 0.005) -> None:
        self._count = count
        self._on_death = on_death
        self._work_seconds = work_seconds
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._strands: set[Strand] = set()
        self._is_closed = False

    @property
    def strands(self) -> frozenset[Strand]:
        """What is under way."""
        return frozenset(self._strands)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises, once it was its turn. Whoever gives up before that spares it the start."""
        if self._is_closed:
            raise RuntimeError("expected work while the kernel threads run, found them closed")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        self._begin()
        return await answer

    def close(self, grace_seconds: float = 0) -> bool:
        """As the process ends: what is under way in the kernel is left where it is."""
        del grace_seconds
        self._is_closed = True
        for strand in list(self._strands):
            strand.kill()
        was_idle = not self._strands
        self._strands.clear()
        return was_idle

    def _begin(self) -> None:
        while self._waiting and len(self._strands) < self._count:
            work, answer = self._waiting.popleft()
            if not answer.cancelled():
                strand = Strand(work)
                self._strands.add(strand)
                self._later(self._work_seconds, strand, answer)

    def _later(self, seconds: float, strand: Strand, answer: asyncio.Future[Any]) -> None:
        asyncio.get_running_loop().call_later(seconds, self._go_on, strand, answer)

    def _go_on(self, strand: Strand, answer: asyncio.Future[Any]) -> None:
        if self._is_closed:
            return
        pause = strand.resume()
        if pause is not None:
            self._later(pause, strand, answer)
            return
        self._strands.discard(strand)
        if isinstance(strand.error, Killed):
            self._on_death()
            return
        if not answer.cancelled():
            if strand.error is None:
                answer.set_result(strand.result)
            else:
                answer.set_exception(strand.error)
        self._begin()
