"""Links, judged by what `ip -j` says afterwards, and the socket behind them."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.waiting import until
from zosfsm.kernel import namespaces
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Links

pytestmark = pytest.mark.kernel

MAC = "02:00:00:00:00:01"


def ip(namespace: str, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-n", namespace, "-j", *words], check=True, capture_output=True, text=True)
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [each for each in answer if each]


def link(namespace: str, name: str) -> dict[str, Any]:
    return ip(namespace, "-d", "link", "show", "dev", name)[0]


# Looking


def test_all_links_are_as_ip_shows_them(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_bridge("br", MAC)
        links.ensure_veth("v", "p", there)
        links.enslave("v", "br")
        links.ensure_macvlan("mv", "br", here, "bridge", None)
        links.set_mtu("v", 1400)
        others.set_up("p")
        for name in ("lo", "br", "v"):
            links.set_up(name)
        # The kernel tells a bridge's carrier a moment after its port's.
        until(lambda: links.get("br").carrier)
        found = links.all()
    shown = ip(here, "-d", "link", "show")
    assert [each.name for each in found] == [each["ifname"] for each in shown] == ["lo", "br", "v", "mv"]
    indexes = {each["ifname"]: each["ifindex"] for each in shown}
    for each, seen in zip(found, shown, strict=True):
        assert each.index == seen["ifindex"]
        assert each.kind == seen.get("linkinfo", {}).get("info_kind", "")
        assert each.mac == seen["address"]
        assert each.up == ("UP" in seen["flags"])
        assert each.carrier == ("LOWER_UP" in seen["flags"])
        assert each.master == (indexes[seen["master"]] if "master" in seen else None)
        assert each.mtu == seen["mtu"]


def test_find_answers_none_and_get_refuses_when_a_link_is_absent(namespace: str) -> None:
    with Links(namespace) as links:
        assert links.find("absent") is None
        with pytest.raises(KernelError) as caught:
            links.get("absent")
    assert str(caught.value) == f"cannot use link absent: there is no such link in network namespace {namespace}"


def test_carrier_follows_the_other_end(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_veth("v", "p", there)
        assert not links.get("v").carrier
        links.set_up("v")
        assert (links.get("v").up, links.get("v").carrier) == (True, False)
        others.set_up("p")
        assert links.get("v").carrier


@pytest.mark.parametrize("name", ["x" * 16, "", ".", "..", "a b", "a/b", "a:b", "ü" * 8])
def test_a_name_that_the_kernel_would_refuse_is_refused_with_a_sentence(namespace: str, name: str) -> None:
    with Links(namespace) as links:
        for use in (links.find, links.ensure_bridge, links.delete, lambda it: links.ensure_veth("v", it, namespace)):
            with pytest.raises(KernelError, match="expected 1 to 15 bytes without spaces, slashes or colons"):
                use(name)
        assert [each.name for each in links.all()] == ["lo"]


# Changing


def test_a_link_goes_up_and_down_and_repeats_are_harmless(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br")
        for _ in range(2):
            links.set_up("br")
            assert "UP" in link(namespace, "br")["flags"]
        for _ in range(2):
            links.set_down("br")
            assert "UP" not in link(namespace, "br")["flags"]


def test_mac_mtu_and_name_are_changed(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br")
        for _ in range(2):
            links.set_mac("br", "02:00:00:00:00:AB")
            links.set_mtu("br", 1300)
            links.rename("br", "other")
            links.rename("other", "br")
        links.rename("br", "last")
        links.rename("br", "last")
        with pytest.raises(KernelError, match="there is no such link"):
            links.rename("nothing", "nobody")
    shown = link(namespace, "last")
    assert (shown["address"], shown["mtu"]) == ("02:00:00:00:00:ab", 1300)


@pytest.mark.parametrize("mac", ["", "02:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02-00-00-00-00-01", "zz" * 6])
def test_what_is_not_one_links_mac_is_refused(namespace: str, mac: str) -> None:
    with Links(namespace) as links, pytest.raises(KernelError, match="expected the address of one link"):
        links.ensure_bridge("br", mac)


def test_what_the_kernel_refuses_is_told_in_one_sentence(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br")
        with pytest.raises(KernelError) as caught:
            links.set_mtu("br", 1)
        assert str(caught.value) == f"cannot set the MTU of br to 1 in network namespace {namespace}: Invalid argument"
        with pytest.raises(KernelError, match="cannot delete link lo"):
            links.delete("lo")


# Bridges


def test_a_bridge_is_made_once_and_keeps_its_mac(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("br", MAC)
        first = link(namespace, "br")
        links.ensure_bridge("br", MAC)
        links.ensure_bridge("br")
    assert link(namespace, "br") == first | {"linkinfo": link(namespace, "br")["linkinfo"]}
    assert first["linkinfo"]["info_kind"] == "bridge"
    assert first["address"] == MAC


def test_a_link_of_the_wrong_kind_makes_way_for_a_bridge(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_veth("br", "peer", namespace)
        links.ensure_bridge("br", MAC)
        assert links.get("br").kind == "bridge"
        assert links.find("peer") is None


def test_a_port_enters_moves_and_leaves_bridges(namespace: str) -> None:
    with Links(namespace) as links:
        links.ensure_bridge("one")
        links.ensure_bridge("two")
        links.ensure_veth("v", "p", namespace)
        for bridge in ("one", "one", "two"):
            links.enslave("v", bridge)
            assert link(namespace, "v")["master"] == bridge
        for _ in range(2):
            links.release("v")
            assert "master" not in link(namespace, "v")
        links.release("absent")
        with pytest.raises(KernelError, match="cannot put v into bridge absent: there is no link absent"):
            links.enslave("v", "absent")


# Pairs


def test_a_pair_spans_two_namespaces_and_is_made_once(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_veth("v", "p", there)
        first = links.get("v"), others.get("p")
        links.ensure_veth("v", "p", there)
        assert (links.get("v"), others.get("p")) == first
    assert link(here, "v")["link_netnsid"] == next(
        each["nsid"] for each in ip(here, "netns", "list-id") if each.get("name") == there
    )
    assert [each["ifname"] for each in ip(here, "link", "show")] == ["lo", "v"]


def test_a_pair_with_another_peer_is_replaced(make_namespace: Callable[[], str]) -> None:
    here, there, elsewhere = make_namespace(), make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others, Links(elsewhere) as foreign:
        # The same names and the same indexes, so that only the namespace tells the pairs apart.
        links.ensure_veth("v", "p", elsewhere)
        with Links(make_namespace()) as fourth:
            fourth.ensure_veth("v", "p", there)
        assert links.get("v").index == others.get("p").index == foreign.get("p").index
        links.ensure_veth("v", "p", there)
        assert foreign.find("p") is None
        links.set_up("v")
        others.set_up("p")
        assert links.get("v").carrier


def test_a_pair_replaces_links_of_other_kinds_at_both_ends(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_bridge("v")
        others.ensure_bridge("p")
        links.ensure_veth("v", "p", there)
        assert (links.get("v").kind, others.get("p").kind) == ("veth", "veth")


def test_none_is_the_namespace_of_the_calling_thread(namespace: str) -> None:
    with namespaces.entered(namespace), Links(None) as links:
        for _ in range(2):
            links.ensure_veth("v", "p", None)
            links.ensure_macvlan("mv", "v", None, "private", MAC)
            links.ensure_veth("v", "p", namespace)
    assert {each["ifname"] for each in ip(namespace, "link", "show")} == {"lo", "v", "p", "mv"}


# Macvlans


@pytest.mark.parametrize("mode", ["bridge", "private"])
def test_a_macvlan_is_made_in_another_namespace_once(make_namespace: Callable[[], str], mode: Any) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_bridge("br")
        links.ensure_macvlan("public", "br", there, mode, MAC)
        first = others.get("public")
        links.ensure_macvlan("public", "br", there, mode, MAC)
        links.ensure_macvlan("public", "br", there, mode, None)
        assert others.get("public") == first
    shown = link(there, "public")
    assert (shown["linkinfo"]["info_kind"], shown["linkinfo"]["info_data"]["mode"]) == ("macvlan", mode)
    assert shown["address"] == MAC


def test_a_macvlan_of_another_mode_or_parent_is_replaced_and_another_mac_is_set(
    make_namespace: Callable[[], str],
) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_bridge("one")
        links.ensure_bridge("two")
        links.ensure_macvlan("public", "one", there, "bridge", None)
        links.ensure_macvlan("public", "one", there, "private", MAC)
        assert link(there, "public")["linkinfo"]["info_data"]["mode"] == "private"
        links.ensure_macvlan("public", "two", there, "private", MAC)
        assert link(there, "public")["link_index"] == links.get("two").index
        index = others.get("public").index
        links.ensure_macvlan("public", "two", there, "private", "02:00:00:00:00:02")
        assert (others.get("public").index, others.get("public").mac) == (index, "02:00:00:00:00:02")


def test_a_macvlan_without_its_parent_is_refused(namespace: str) -> None:
    with Links(namespace) as links, pytest.raises(KernelError, match="there is no link nic"):
        links.ensure_macvlan("public", "nic", namespace, "bridge", None)


# Moving and deleting


def test_a_link_moves_once_and_deleting_the_absent_succeeds(make_namespace: Callable[[], str]) -> None:
    here, there = make_namespace(), make_namespace()
    with Links(here) as links, Links(there) as others:
        links.ensure_veth("v", "p", here)
        for _ in range(2):
            links.move("v", there)
            assert (links.find("v"), others.get("v").kind) == (None, "veth")
        links.move("p", here)
        for _ in range(2):
            others.delete("v")
        assert links.find("p") is None
        with pytest.raises(KernelError, match="cannot use link v"):
            links.move("v", there)


# The socket


def test_a_link_manager_leaves_no_file_open_even_after_errors(namespace: str, open_files: Callable[[], int]) -> None:
    before = open_files()
    for _ in range(3):
        with pytest.raises(KernelError), Links(namespace) as links:
            links.ensure_veth("v", "p", namespace)
            links.ensure_macvlan("mv", "v", namespace, "bridge", None)
            links.get("absent")
        with pytest.raises(KernelError), Links("no-such-namespace"):
            pass
    assert open_files() == before


def test_it_works_in_a_plain_thread_while_another_runs_asyncio(namespace: str) -> None:
    def work() -> list[str]:
        with Links(namespace) as links:
            links.ensure_bridge("br")
            return [each.name for each in links.all()]

    async def main() -> list[str]:
        return await asyncio.to_thread(work)

    assert asyncio.run(main()) == ["lo", "br"]


def test_a_thread_that_runs_asyncio_is_refused_with_a_sentence(namespace: str) -> None:
    async def main() -> None:
        with Links(namespace):
            pass

    with pytest.raises(KernelError, match="this thread runs an asyncio loop; use a worker thread"):
        asyncio.run(main())


def test_threads_of_different_namespaces_do_not_mix(make_namespace: Callable[[], str]) -> None:
    spaces = [make_namespace() for _ in range(4)]
    seen: dict[str, list[str]] = {}

    def work(space: str) -> None:
        with Links(space) as links:
            links.ensure_bridge(f"b{spaces.index(space)}")
            seen[space] = [each.name for each in links.all()]

    threads = [threading.Thread(target=work, args=(space,)) for space in spaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[space] for space in spaces] == [["lo", f"b{number}"] for number in range(4)]


def test_outside_of_a_with_statement_it_refuses() -> None:
    with pytest.raises(KernelError, match="it is not open"):
        Links().all()


def test_what_is_so_already_is_told_to_nobody(namespace: str) -> None:
    def build(links: Links) -> None:
        links.ensure_bridge("br", "02:00:00:00:00:01")
        links.ensure_veth("v", "p", namespace)
        links.enslave("v", "br")
        links.set_mtu("v", 1400)
        links.release("p")
        links.set_down("p")
        # Of the others' carrier the kernel would tell once more, up to a second after they came up.
        links.set_up("lo")

    with Links(namespace) as links:
        build(links)
        with namespaces.entered(namespace):
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        with listener:
            listener.bind((0, 1))
            build(links)
            with pytest.raises(BlockingIOError):
                listener.recv(1 << 16)


def test_a_link_that_somebody_else_replaced_is_found_again(namespace: str) -> None:
    with Links(namespace) as links, Links(namespace) as others:
        links.ensure_bridge("br")
        links.set_up("br")
        others.delete("br")
        assert links.find("br") is None
        others.ensure_bridge("br")
        links.set_up("br")
        assert others.get("br").up
