"""Namespaces are made, entered and removed, repeats are harmless, and a thread always comes home."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError

pytestmark = pytest.mark.kernel


def present() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_what_is_created_is_what_ip_netns_lists(unused_name: str) -> None:
    namespaces.create(unused_name)
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    assert unused_name in [line.split()[0] for line in listed.splitlines()]
    assert namespaces.exists(unused_name)
    assert unused_name in namespaces.names()


def test_creating_twice_keeps_the_first(unused_name: str) -> None:
    namespaces.create(unused_name)
    with namespaces.entered(unused_name):
        first = present()
    namespaces.create(unused_name)
    with namespaces.entered(unused_name):
        assert present() == first


def test_creating_leaves_the_thread_where_it_was(unused_name: str) -> None:
    before = present()
    namespaces.create(unused_name)
    assert present() == before


def test_many_threads_creating_one_name_make_one_namespace(unused_name: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(namespaces.create, [unused_name] * 16))
    assert namespaces.exists(unused_name)
    namespaces.delete(unused_name)
    assert not Path("/run/netns", unused_name).exists()


def test_a_namespace_made_by_ip_netns_can_be_entered_and_deleted(unused_name: str) -> None:
    subprocess.run(["ip", "netns", "add", unused_name], check=True)
    with namespaces.entered(unused_name):
        inside = present()
    assert inside != present()
    namespaces.delete(unused_name)
    assert not Path("/run/netns", unused_name).exists()


def test_deleting_the_absent_succeeds(unused_name: str) -> None:
    namespaces.delete(unused_name)
    namespaces.create(unused_name)
    namespaces.delete(unused_name)
    namespaces.delete(unused_name)
    assert not namespaces.exists(unused_name)


def test_a_leftover_file_is_no_namespace_and_is_taken_over_or_removed(unused_name: str) -> None:
    namespaces.create(unused_name)
    namespaces.delete(unused_name)
    leftover = Path("/run/netns", unused_name)
    leftover.touch()
    assert not namespaces.exists(unused_name)
    assert unused_name not in namespaces.names()
    with pytest.raises(KernelError, match="leftover file"), namespaces.entered(unused_name):
        pass
    namespaces.create(unused_name)
    assert namespaces.exists(unused_name)
    namespaces.delete(unused_name)
    leftover.touch()
    namespaces.delete(unused_name)
    assert not leftover.exists()


def test_entering_an_absent_namespace_is_refused_and_creates_nothing(unused_name: str) -> None:
    with pytest.raises(KernelError) as caught, namespaces.entered(unused_name):
        pass
    assert str(caught.value) == f"cannot open network namespace {unused_name}: it does not exist"
    assert not Path("/run/netns", unused_name).exists()


def test_a_thread_comes_home_when_the_body_fails(namespace: str) -> None:
    before = present()
    with pytest.raises(ZeroDivisionError), namespaces.entered(namespace):
        assert present() != before
        raise ZeroDivisionError
    assert present() == before


def test_entering_is_nested_and_moves_only_the_calling_thread(make_namespace: Callable[[], str]) -> None:
    home, first, second = present(), make_namespace(), make_namespace()
    seen: list[str] = []
    stranger = ThreadPoolExecutor(1)
    stranger.submit(present).result()
    with namespaces.entered(first):
        inside_first = present()
        with namespaces.entered(second):
            assert len({home, inside_first, present()}) == 3
            with namespaces.entered(None):
                assert present() not in (home, inside_first)
        assert present() == inside_first
        assert stranger.submit(present).result() == home
        # A new thread starts where its maker is (clone(2)).
        thread = threading.Thread(target=lambda: seen.append(present()))
        thread.start()
        thread.join()
    assert seen == [inside_first]
    assert present() == home
    stranger.shutdown()


def test_no_file_stays_open(namespace: str, unused_name: str, open_files: Callable[[], int]) -> None:
    before = open_files()
    for _ in range(3):
        namespaces.create(unused_name)
        with namespaces.entered(namespace):
            pass
        with pytest.raises(KernelError), namespaces.entered("no-such-namespace"):
            pass
        namespaces.delete(unused_name)
    assert open_files() == before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b", "x" * 256])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    for use in (namespaces.create, namespaces.delete, namespaces.exists):
        with pytest.raises(KernelError, match="a name has 1 to 255 bytes"):
            use(name)
