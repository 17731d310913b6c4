"""A network resource's build on the real kernel is a transaction: whichever step fails, the node is as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.network_ground import prepare
from tests.kernel.separate_host import SeparateHost, separate_hosts
from tests.node.resource_on_the_kernel import STEPS, deleted, lived, lived_again, reserved
from zosfsm.fsm.lifecycle import Event

pytestmark = pytest.mark.kernel

# What is the farmer's, and looks like ours.
FOREIGN = (
    "ip link add b-test type bridge && ip link set b-test up && ip netns add n-test && "
    "ip link add l-test type veth peer name n-test netns n-test && "
    "mkdir -p /run/wireguard && wireguard-go w-test"
)


@pytest.fixture
def host() -> Iterator[SeparateHost]:
    with separate_hosts(1) as (only,):
        prepare(only, 1)
        only.shell(FOREIGN)
        yield only


def whole(host: SeparateHost) -> list[str]:
    """Namespaces, links, rules, processes, UDP ports and sockets; a tie breaker for what only was touched."""
    return [
        host.shell(command)
        for command in (
            "ls -i /run/netns",
            "ip -br link | awk '{ print $1 }'",
            "ip -n n-test -br link | awk '{ print $1 }'",
            "nft list ruleset",
            "ls /run/wireguard",
            "ss -Hulnp | sort",
            "ip netns pids n-abc 2>&1 | wc -l; ip -n n-abc -br link 2>&1 | awk '{ print $1 }'",
        )
    ]


@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_fails_at_a_step_leaves_the_node_as_it_was(host: SeparateHost, step: str) -> None:
    before = whole(host)
    states, errors, _ = host.run(lived, frozenset({step}), Event("reserve", reserved()))
    assert states[-2:] == ["rolling_back", "failed"]
    [error] = errors
    assert f": {step} is made to fail; all that was made is undone" in error
    assert whole(host) == before


def test_a_port_that_a_strangers_socket_has_is_told_with_the_step_and_all_is_undone(host: SeparateHost) -> None:
    host.shell(
        "nohup python3 -c 'import socket, time; s = socket.socket(2, 2); s.bind((\"\", 3000)); time.sleep(600)'"
        " >/dev/null 2>&1 & while ! ss -uln | grep -q :3000; do sleep 0.01; done"
    )
    before = whole(host)
    states, errors, _ = host.run(lived, frozenset(), Event("reserve", reserved()))
    assert states[-1] == "failed"
    [error] = errors
    assert error.startswith(
        "connecting the links and the tunnel: cannot configure WireGuard w-abc: UDP port 3000 is in"
    )
    assert error.endswith("; all that was made is undone")
    assert whole(host) == before


@pytest.mark.parametrize(
    "stranger",
    [
        "ip link add b-abc type bridge",
        "ip link add l-abc type veth peer name x-abc",
        "ip netns add n-abc && ip -n n-abc link add n-abc type bridge",
        "mkdir -p /run/wireguard && wireguard-go w-abc",
        "ip link add w-abc type bridge",
    ],
)
def test_what_is_somebody_elses_is_neither_used_nor_removed(host: SeparateHost, stranger: str) -> None:
    host.shell(stranger)
    before = whole(host)
    states, errors, _ = host.run(lived, frozenset(), Event("reserve", reserved()), deleted())
    assert states[-2:] == ["failed", "gone"]
    assert "somebody else" in errors[0]
    assert whole(host) == before


def test_a_network_is_built_changed_and_removed_whole(host: SeparateHost) -> None:
    before = whole(host)
    states, errors, _ = host.run(
        lived, frozenset(), Event("reserve", reserved()), Event("reserve", reserved(2, listen_port=3001)), deleted(2)
    )
    assert states == [
        *("reserving", "building", "securing", "connecting", "verifying", "active"),
        *("updating", "active", "tearing_down", "gone"),
    ]
    assert errors == ["", "", ""]
    assert whole(host) == before


def test_what_is_mended_on_adoption_stands_in_the_history(host: SeparateHost) -> None:
    host.run(lived, frozenset(), Event("reserve", reserved()))
    host.shell("ip -n n-abc route del 10.1.2.0/24 && ip link set b-abc down")
    states, _, reasons = host.run(lived_again, reserved())
    assert states == ["adopting", "active"]
    assert "mended: expected b-abc in the node's own namespace to be on, found it off; and 1 more" in reasons
    assert host.run(lived_again, reserved())[2][-1] == "What is there is what was reserved."
