"""Taking a lab down: twice, half built, damaged, and with processes in it of which nobody made a note."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab.ground import Ground
from tests.waiting import until
from zosfsm.lab.errors import LabInUse
from zosfsm.lab.farm import build_farm, faults, take_down, traces
from zosfsm.lab.node_process import enter
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity, identify, is_alive, spawn
from zosfsm.lab.state import Purpose, StateFile, locked
from zosfsm.lab.topology import FARM

pytestmark = pytest.mark.kernel


def remove(place: Place) -> None:
    with locked(place):
        take_down(place)


def quiet(_event: str) -> None:
    return


def test_nothing_is_left_of_a_lab_and_removing_nothing_is_success(ground: Ground) -> None:
    ground.serve()
    ground.isolated("node1")
    assert traces(ground.place)
    remove(ground.place)
    assert traces(ground.place) == ()
    remove(ground.place)
    assert traces(ground.place) == ()


def test_processes_of_which_no_note_was_made_are_found_by_their_namespaces(ground: Ground) -> None:
    node = ground.isolated("node1")
    log = ground.place.log_file("stranger")
    in_machine = spawn(["sleep", "99"], log, ground.place.namespace("router1"))
    tenant = "ip netns add n-tenant && exec ip netns exec n-tenant sleep 98"
    in_tenant = spawn([*enter(ground.place, node, ground.file), "sh", "-ec", tenant], log)
    until(lambda: b"98" in _command_line(in_tenant))
    remove(ground.place)
    assert not is_alive(in_machine)
    assert not is_alive(in_tenant)


def test_a_process_outside_the_lab_is_not_ended(ground: Ground) -> None:
    with subprocess.Popen(["sleep", "99"]) as bystander:
        remove(ground.place)
        assert identify(bystander.pid) is not None
        bystander.kill()


def test_a_damaged_state_file_does_not_keep_the_lab_from_being_removed(ground: Ground) -> None:
    ground.isolated("node1")
    ground.place.state_file.write_text("{")
    remove(ground.place)
    assert traces(ground.place) == ()


def test_a_lost_directory_does_not_keep_the_lab_from_being_removed(ground: Ground) -> None:
    ground.serve()
    ground.place.state_file.unlink()
    remove(ground.place)
    assert traces(ground.place) == ()


def test_the_name_of_a_namespace_that_was_never_finished_is_a_trace(place: Place) -> None:
    place.namespace_file("grid").touch()
    assert traces(place) == (f"the namespace {place.namespace('grid')}",)
    remove(place)
    assert traces(place) == ()


def test_a_process_that_has_the_number_of_a_dead_one_is_not_ended(ground: Ground) -> None:
    with subprocess.Popen(["sleep", "99"]) as bystander:
        ground.file.started("grid", ProcessIdentity(bystander.pid, 1))
        remove(ground.place)
        assert identify(bystander.pid) is not None
        bystander.kill()


BUILD = """
import os, signal, sys
from zosfsm.lab import farm
from zosfsm.lab.place import Place
from zosfsm.lab.state import Purpose, locked
from zosfsm.lab.topology import FARM

def tell(event):
    if event.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

place = Place(sys.argv[1])
with locked(place):
    farm.build_farm(place, FARM, Purpose.UP, tell)
"""


@pytest.mark.parametrize("moment", ["laying cables", "starting the grid"])
def test_what_a_killed_command_left_is_removed_by_the_next(place: Place, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", BUILD, place.prefix, moment], timeout=60, check=False)
    assert done.returncode == -9
    assert traces(place)
    remove(place)
    assert traces(place) == ()


def test_a_lab_that_is_up_is_not_built_over(ground: Ground) -> None:
    ground.file.completed(1)
    with locked(ground.place), pytest.raises(LabInUse, match="`zosfsm lab down` removes it"):
        build_farm(ground.place, FARM, Purpose.DEMO, quiet)
    assert StateFile.load(ground.place).state.complete


def test_faults_say_what_is_missing(ground: Ground) -> None:
    ground.file.started("grid", ProcessIdentity(2**22, 1))
    found = "; ".join(faults(ground.place, FARM))
    assert "grid has ended" in found
    assert "it was not built to its end" in found
    assert "node3 was not started" in found


def _command_line(process: ProcessIdentity) -> bytes:
    with open(f"/proc/{process.pid}/cmdline", "rb") as file:
        words = file.read()
    return words if words.startswith(b"sleep") else b""
