"""`zosfsm lab demo` as its users run it: the document that it prints, and nothing left when it is stopped anywhere."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from zosfsm.lab.farm import take_down, traces
from zosfsm.lab.place import Place
from zosfsm.lab.processes import identify
from zosfsm.lab.state import StateFile, locked

pytestmark = pytest.mark.e2e

SEED = os.environ.get("ZOSFSM_SEED") or secrets.token_hex(4)
# Machines that every node has while it carries a network, and the states that they are in.
STANDING = {
    "connectivity": "online",
    "registration": "registered",
    "delivery": "empty",
    "dmz": "ready",
    "interface:eth0": "no_carrier",
    "interface:eth2": "selected",
}
# What the demo says when it begins with a part of its story.
EVENTS = (
    "laying cables",
    "starting the grid",
    "powering the nodes on",
    "applying the mesh",
    "pinging every pair",
    "reaching out",
    "reaching in",
    "deleting the mesh",
    "tearing the nodes down",
)

_LONGEST_PAUSE_SECONDS = 0.6


@pytest.fixture
def place() -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    own = Place(f"zd{secrets.token_hex(4)}")
    yield own
    with locked(own):
        take_down(own)


def words(place: Place, *command: str) -> list[str]:
    return [sys.executable, "-m", "zosfsm.cli.main", "lab", "--name", place.prefix, *command]


def host() -> dict[str, str]:
    """What the lab must not touch: links, addresses, routes, firewall and forwarding of the machine itself."""
    looks = {
        "addresses": ("ip", "-brief", "address"),
        "routes": ("ip", "route", "show", "table", "all"),
        "firewall": ("nft", "list", "ruleset"),
        "forwarding": ("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"),
        "resolver": ("cat", "/etc/resolv.conf"),
    }
    return {name: subprocess.check_output(look, text=True) for name, look in looks.items()}


def test_the_demo_prints_one_document_in_which_everything_is_true(place: Place) -> None:
    before = host()
    done = subprocess.run(words(place, "demo", "--json"), capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    nodes, seconds = document.pop("nodes"), document.pop("seconds")
    assert document == {
        "schema": 1,
        "mesh": {"pairs": 6, "reachable": 6, "plaintext_packets": 0},
        "internet": {"outgoing": 3, "incoming_blocked": 3},
        "leaks": {"namespaces": 0, "links": 0, "processes": 0, "ports": 0},
    }
    assert seconds > 0
    assert [(node["name"], node["role"]) for node in nodes] == [
        ("node1", "public"),
        ("node2", "hidden"),
        ("node3", "hidden"),
    ]
    for node in nodes:
        assert set(node) == {"name", "role", "boot_seconds", "machines"}
        assert node["boot_seconds"] > 0
        assert STANDING.items() <= node["machines"].items()
        resources = [state for name, state in node["machines"].items() if name.startswith("resource:")]
        assert resources == ["active"]
    assert traces(place) == ()
    assert host() == before


def test_a_demo_stopped_by_ctrl_c_at_a_random_moment_leaves_nothing(place: Place) -> None:
    demo = started(place, Random(f"{SEED}-ctrl-c"))
    demo.send_signal(signal.SIGINT)
    told, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGINT, told
    assert "stopped by SIGINT" in told
    assert traces(place) == ()


def test_what_a_demo_killed_at_a_random_moment_leaves_is_removed_by_lab_down(place: Place) -> None:
    demo = started(place, Random(f"{SEED}-kill"))
    demo.kill()
    demo.communicate(timeout=60)
    processes = StateFile.load(place).state.processes
    assert traces(place)
    assert subprocess.run(words(place, "down"), timeout=60, check=False).returncode == 0
    assert traces(place) == ()
    left = [record.name for record in processes if record.identity and identify(record.identity.pid) == record.identity]
    assert left == []


def started(place: Place, chance: Random) -> subprocess.Popen[str]:
    """A demo at a random moment of its story."""
    event, seconds = chance.choice(EVENTS), chance.uniform(0, _LONGEST_PAUSE_SECONDS)
    print(f"ZOSFSM_SEED={SEED}: stopped {seconds:.2f} s after it said {event!r}")
    demo = subprocess.Popen(words(place, "demo"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if event in line:
            break
    time.sleep(seconds)
    assert demo.poll() is None, "the demo ended before it was stopped"
    return demo
