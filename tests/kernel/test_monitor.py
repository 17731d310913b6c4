"""What the monitor tells is what happens to links, in order, and nothing is lost when the kernel drops messages."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links
from zosfsm.kernel.monitor import LinkChange, LinkMonitor

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

PATIENCE_SECONDS = 20


class Diary:
    """Every change told so far, and a way to wait for one."""

    def __init__(self) -> None:
        self.changes: list[LinkChange] = []
        self._news = asyncio.Event()

    def note(self, change: LinkChange) -> None:
        self.changes.append(change)
        self._news.set()

    def latest(self) -> dict[str, LinkChange]:
        return {change.name: change for change in self.changes}

    async def until(self, holds: Callable[[dict[str, LinkChange]], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds(self.latest()):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watching(namespace: str, **settings: Any) -> AsyncIterator[tuple[Diary, LinkMonitor]]:
    diary, monitor = Diary(), LinkMonitor(namespace, **settings)
    await monitor.start(diary.note)
    try:
        yield diary, monitor
    finally:
        monitor.stop()


async def do(namespace: str, work: Callable[[Links], object]) -> None:
    def in_thread() -> None:
        with Links(namespace) as links:
            work(links)

    await asyncio.to_thread(in_thread)


async def test_what_is_there_is_told_before_start_returns(namespace: str) -> None:
    await do(namespace, lambda links: links.ensure_bridge("br", "02:00:00:00:00:01"))
    async with watching(namespace) as (diary, _):
        assert diary.latest()["br"] == LinkChange("br", 2, True, False, False, "02:00:00:00:00:01")
        assert set(diary.latest()) == {"lo", "br"}


async def test_carrier_lost_and_regained_at_the_other_end_is_told(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    await do(here, lambda links: links.ensure_veth("v", "p", there))
    async with watching(here) as (diary, _):
        await do(here, lambda links: links.set_up("v"))
        await diary.until(lambda seen: seen["v"].up and not seen["v"].carrier)
        for _ in range(2):
            await do(there, lambda links: links.set_up("p"))
            await diary.until(lambda seen: seen["v"].carrier)
            await do(there, lambda links: links.set_down("p"))
            await diary.until(lambda seen: not seen["v"].carrier)
        assert diary.latest()["v"].up


async def test_a_removed_link_is_told_as_absent(namespace: str) -> None:
    async with watching(namespace) as (diary, _):
        await do(namespace, lambda links: links.ensure_bridge("br"))
        await diary.until(lambda seen: "br" in seen and seen["br"].present)
        await do(namespace, lambda links: links.delete("br"))
        await diary.until(lambda seen: not seen["br"].present)


async def test_a_link_moved_away_is_told_as_absent(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    await do(here, lambda links: links.ensure_veth("v", "p", here))
    async with watching(here) as (diary, _):
        await do(here, lambda links: links.move("v", there))
        await diary.until(lambda seen: not seen["v"].present)
        assert diary.latest()["p"].present


async def test_a_port_that_leaves_its_bridge_is_still_there(namespace: str) -> None:
    def build(links: Links) -> None:
        links.ensure_bridge("br")
        links.ensure_veth("v", "p", namespace)
        links.enslave("v", "br")

    await do(namespace, build)
    async with watching(namespace) as (diary, _):
        await do(namespace, lambda links: links.release("v"))
        await do(namespace, lambda links: links.set_up("v"))
        await diary.until(lambda seen: seen["v"].up)
        assert all(change.present for change in diary.changes)


async def test_a_renamed_link_leaves_under_its_old_name_and_comes_under_the_new(namespace: str) -> None:
    await do(namespace, lambda links: links.ensure_bridge("old"))
    async with watching(namespace) as (diary, _):
        await do(namespace, lambda links: links.rename("old", "new"))
        await diary.until(lambda seen: "new" in seen)
        assert [(each.name, each.present) for each in diary.changes[-2:]] == [("old", False), ("new", True)]


async def test_what_does_not_change_what_is_told_is_not_told(namespace: str) -> None:
    await do(namespace, lambda links: links.ensure_bridge("br"))
    async with watching(namespace) as (diary, _):
        before = len(diary.changes)
        await do(namespace, lambda links: links.set_mtu("br", 1400))
        await do(namespace, lambda links: links.set_mac("br", "02:00:00:00:00:07"))
        await diary.until(lambda seen: seen["br"].mac == "02:00:00:00:00:07")
        assert len(diary.changes) == before + 1


async def test_after_lost_notifications_the_picture_is_right_again(namespace: str) -> None:
    def storm(links: Links) -> None:
        for number in range(60):
            links.ensure_bridge(f"b{number}")
        for number in range(1, 60):
            links.delete(f"b{number}")
        links.ensure_bridge("last")

    async with watching(namespace, receive_buffer_bytes=2304) as (diary, monitor):
        # The loop is kept from reading, so that the small buffer runs over.
        thread = threading.Thread(target=asyncio.run, args=(do(namespace, storm),))
        thread.start()
        thread.join()
        await diary.until(lambda seen: "last" in seen and "b0" in seen)
        await diary.until(lambda seen: {name for name in seen if seen[name].present} == {"lo", "b0", "last"})
        assert monitor._sequence > 1


async def test_a_message_that_no_kernel_sent_is_not_believed(namespace: str) -> None:
    async with watching(namespace) as (diary, monitor):
        with namespaces.entered(namespace):
            forger = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        with forger:
            await do(namespace, lambda links: links.ensure_bridge("br"))
            await diary.until(lambda seen: "br" in seen)
            forged = bytes.fromhex("20000000 11000000 00000000 00000000 00000000 02000000 00000000 00000000")
            try:
                forger.sendto(forged, (monitor._port, 0))
            except OSError as error:
                assert error.errno in (errno.EPERM, errno.ECONNREFUSED)
            await do(namespace, lambda links: links.set_up("br"))
            await diary.until(lambda seen: seen["br"].up)
        assert all(change.present for change in diary.changes)


async def test_a_callback_that_fails_does_not_stop_the_telling(namespace: str) -> None:
    told: list[str] = []
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    arrived = asyncio.Event()

    def fail(change: LinkChange) -> None:
        told.append(change.name)
        if change.name == "br":
            arrived.set()
        raise ZeroDivisionError

    monitor = LinkMonitor(namespace)
    await monitor.start(fail)
    await do(namespace, lambda links: links.ensure_bridge("br"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await arrived.wait()
    monitor.stop()
    assert told == ["lo", "br"]
    assert all(isinstance(fault, ZeroDivisionError) for fault in faults)


async def test_nothing_is_told_after_stop_and_it_can_start_again(namespace: str, open_files: Callable[[], int]) -> None:
    before = open_files()
    diary, monitor = Diary(), LinkMonitor(namespace)
    for _ in range(2):
        diary.changes.clear()
        await monitor.start(diary.note)
        assert set(diary.latest()) >= {"lo"}
        with pytest.raises(KernelError, match="it runs already"):
            await monitor.start(diary.note)
        monitor.stop()
        monitor.stop()
        count = len(diary.changes)
        await do(namespace, lambda links: (links.ensure_bridge("br"), links.delete("br")))
        await asyncio.sleep(0)
        assert len(diary.changes) == count
    assert open_files() <= before + 1  # the thread pool's own


async def test_a_message_that_cannot_be_read_is_followed_by_reading_everything_again(namespace: str) -> None:
    async with watching(namespace) as (diary, monitor):
        asked = monitor._sequence
        # A header that promises a link and holds none.
        monitor._take(bytes.fromhex("10000000 10000000 00000000 00000000"))
        await do(namespace, lambda links: links.ensure_bridge("br"))
        await diary.until(lambda seen: "br" in seen)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while monitor._sequence == asked or monitor._dump is not None:
                await asyncio.sleep(0.01)
        assert {name for name, change in diary.latest().items() if change.present} == {"lo", "br"}


async def test_a_name_that_is_no_utf_8_is_told_as_text(namespace: str) -> None:
    # Through a process, because nothing of ours would make such a name.
    await asyncio.to_thread(
        subprocess.run, [b"ip", b"-n", namespace.encode(), b"link", b"add", b"n\xff", b"type", b"bridge"], check=True
    )
    async with watching(namespace) as (diary, _):
        assert set(diary.latest()) == {"lo", "n\ufffd"}


async def test_no_task_runs_while_it_watches_or_stays_behind(namespace: str) -> None:
    before = asyncio.all_tasks()
    monitor = LinkMonitor(namespace)
    await monitor.start(lambda _: None)
    assert asyncio.all_tasks() == before
    monitor.stop()
    assert asyncio.all_tasks() == before


async def test_an_absent_namespace_is_refused() -> None:
    with pytest.raises(KernelError, match="does not exist"):
        await LinkMonitor("no-such-namespace").start(lambda _: None)
