"""What the wirings are as a whole: enough of them, each situation of the README among them, nothing left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.wiring.findings import Found
from tests.e2e.wiring.matrix import MATRIX
from tests.e2e.wiring.patterns import alike, goes_through, says
from tests.e2e.wiring.processes import until
from tests.e2e.wiring.situations import README, Situation, situations

ROWS = situations(README.read_text(encoding="utf-8"))
LEAVE_LAID = """
import sys, time
from pathlib import Path
from tests.e2e.wiring.ground import laid_ground
from tests.e2e.wiring.networks import Internet, Lan, Scripted
with laid_ground((Lan(ipv6=True), Lan(dhcp=Scripted())), Internet.GRID, Path(sys.argv[1])) as ground:
    print(*{Path(f"/proc/{host.pid}/ns/net").stat().st_ino for host in ground.hosts()}, flush=True)
    time.sleep(3600)
"""


def produced(name: str) -> list[Found]:
    return [wiring.situations()[name] for wiring in MATRIX if name in wiring.situations()]


def test_there_are_many_wirings_and_each_has_a_name_of_its_own() -> None:
    assert len(MATRIX) >= 25
    assert len({wiring.name for wiring in MATRIX}) == len(MATRIX)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_situation_of_the_readme_is_produced_for_real_by_a_wiring(row: Situation) -> None:
    found = produced(row.name)
    assert found, f"no wiring of tests/e2e/wiring produces {row.name!r}"
    for step in found:
        assert (step.machine.partition(":")[0], step.state.partition(" ")[2]) == (row.machine, row.state)
        assert step.warning == row.code
        assert alike(step.why, row.sentence), f"{step.why!r} is tested, and the README says {row.sentence!r}"


def test_every_situation_that_a_wiring_names_is_in_the_readme() -> None:
    named = {name for wiring in MATRIX for name in wiring.situations()}
    assert named <= {row.name for row in ROWS}


def test_a_sequence_of_states_may_have_parts_that_repeat_or_are_missing() -> None:
    pattern = "listing waiting? (probing waiting)* attaching"
    assert goes_through(pattern, ["listing", "attaching"])
    assert goes_through(pattern, ["listing", "waiting", "probing", "waiting", "attaching"])
    assert not goes_through(pattern, ["listing", "probing", "attaching"])
    assert not goes_through(pattern, ["listing", "attaching", "online"])


def test_a_sentence_may_have_placeholders() -> None:
    assert says("Next try in {duration}.", "Next try in 1 min 5 s.")
    assert says("leased {address} from {address} ({count})", "leased 192.0.2.7/24 from fe80::1 (3)")
    assert not says("Next try in {duration}.", "Next try in a while.")
    assert not says("Next try.", "Next try. And more.")


def test_sentences_are_alike_that_differ_in_nics_addresses_and_times_alone() -> None:
    assert alike("{any}eth0: leased {address} from 192.0.2.1.{any}", "eth1: leased 192.0.2.7/24 from 192.0.2.9.")
    assert not alike("{any}eth0: no carrier.{any}", "eth0: 3 DISCOVERs, no OFFER.")


@pytest.mark.e2e
def test_nothing_is_left_of_a_wiring_when_the_tests_are_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LEAVE_LAID, str(tmp_path)]
    root = {**os.environ, "PYTHONPATH": str(README.parent)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=root, text=True) as tests:
        assert tests.stdout is not None
        namespaces = {int(inode) for inode in tests.stdout.readline().split()}
        assert len(namespaces) == 4
        assert len(inhabitants(namespaces)) > 8
        tests.send_signal(signal.SIGKILL)
    until(lambda: not inhabitants(namespaces), lambda: f"still there: {inhabitants(namespaces)}")


def inhabitants(namespaces: set[int]) -> list[int]:
    """The processes in these network namespaces."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "ns/net").stat().st_ino in namespaces:
                found.append(int(entry.name))
        except OSError:
            # It ended while we looked, or is the zombie of one.
            continue
    return found
