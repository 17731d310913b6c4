"""One table of ours in a namespace: replaced whole or not at all, and nobody else's touched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from zosfsm.kernel import firewall
from zosfsm.kernel.errors import KernelError

pytestmark = pytest.mark.kernel

_ONE = "table inet zosfsm {\n\tchain one {\n\t\tudp dport 1 counter accept\n\t}\n}\n"
_TWO = "table inet zosfsm {\n\tchain two {\n\t\tudp dport 2 accept\n\t}\n}\n"


def _nft(namespace: str, command: str) -> str:
    done = subprocess.run(["ip", "netns", "exec", namespace, "nft", *command.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_namespace_without_our_table_has_no_ruleset(namespace: str) -> None:
    assert firewall.current(namespace) == ""
    assert not firewall.matches(_ONE, namespace)


def test_a_second_ruleset_replaces_the_first_whole(namespace: str) -> None:
    firewall.apply(_ONE, namespace)
    firewall.apply(_TWO, namespace)
    listed = _nft(namespace, "list ruleset")
    assert "chain two" in listed
    assert "chain one" not in listed


def test_ensuring_what_is_in_force_does_not_replace_it(namespace: str) -> None:
    assert firewall.ensure(_ONE, namespace)
    handles = _nft(namespace, "-a list ruleset")
    assert not firewall.ensure(_ONE, namespace)
    assert _nft(namespace, "-a list ruleset") == handles


def test_a_rule_that_somebody_added_is_noticed_and_removed(namespace: str) -> None:
    firewall.apply(_ONE, namespace)
    _nft(namespace, "add rule inet zosfsm one udp dport 3 accept")
    assert not firewall.matches(_ONE, namespace)
    assert firewall.ensure(_ONE, namespace)
    assert firewall.matches(_ONE, namespace)


def test_a_ruleset_written_otherwise_than_nft_lists_it_is_recognised(namespace: str) -> None:
    ruleset = "table inet zosfsm { chain one { type filter hook input priority 0; udp dport {9, 7} accept; }; }"
    firewall.apply(ruleset, namespace)
    assert firewall.matches(ruleset, namespace)
    assert not firewall.matches(ruleset.replace("7", "6"), namespace)


def test_what_nft_refuses_leaves_the_old_rules_and_tells_why(namespace: str) -> None:
    firewall.apply(_ONE, namespace)
    with pytest.raises(KernelError, match="unexpected") as refused:
        firewall.apply("table inet zosfsm {\n chain three { nonsense }\n}\n", namespace)
    assert "\n" not in str(refused.value)
    assert firewall.matches(_ONE, namespace)


def test_a_ruleset_of_another_table_is_refused(namespace: str) -> None:
    with pytest.raises(KernelError, match="expected a ruleset that begins with"):
        firewall.apply("table inet other {\n}\n", namespace)


def test_other_tables_stay(namespace: str) -> None:
    _nft(namespace, "add table inet other")
    firewall.apply(_ONE, namespace)
    firewall.remove(namespace=namespace)
    assert _nft(namespace, "list tables").split() == ["table", "inet", "other"]


def test_removing_an_absent_table_succeeds(namespace: str) -> None:
    firewall.remove(namespace=namespace)
    firewall.remove(namespace=namespace)
    assert firewall.current(namespace) == ""


def test_each_thread_talks_to_the_namespace_it_names(make_namespace: Callable[[], str]) -> None:
    names = [make_namespace() for _ in range(4)]
    texts = [_ONE.replace("dport 1", f"dport {number + 1}") for number, _ in enumerate(names)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(firewall.apply, texts, names))
    assert [firewall.matches(text, name) for text, name in zip(texts, names, strict=True)] == [True] * 4


def test_an_absent_namespace_is_an_error(unused_name: str) -> None:
    with pytest.raises(KernelError, match="does not exist"):
        firewall.apply(_ONE, unused_name)
