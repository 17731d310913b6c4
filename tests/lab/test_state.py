"""The state file: what was made is on disk before it is made, and only one command is at work at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from zosfsm.lab.errors import LabError, LabInUse, NoLab
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity
from zosfsm.lab.state import Purpose, StateFile, locked

pytestmark = pytest.mark.kernel


def test_every_change_is_on_disk_at_once(place: Place) -> None:
    with locked(place):
        file = StateFile.begin(place, Purpose.UP, ("x-node1",))
        assert StateFile.load(place).state.namespaces == ("x-node1",)
        file.about_to_start("grid")
        assert StateFile.load(place).state.process("grid") is None
        file.started("grid", ProcessIdentity(2**22, 7))
        file.completed(1)
    loaded = StateFile.load(place).state
    assert loaded == file.state
    assert loaded.process("grid") == ProcessIdentity(2**22, 7)
    assert loaded.complete
    assert loaded.farm == 1


def test_a_process_started_again_replaces_its_first_record(place: Place) -> None:
    with locked(place):
        file = StateFile.begin(place, Purpose.UP, ())
    file.started("node1", ProcessIdentity(2**22, 1))
    file.started("node1", ProcessIdentity(2**22, 2))
    assert [record.identity for record in file.state.processes] == [ProcessIdentity(2**22, 2)]


def test_no_file_means_no_lab(place: Place) -> None:
    with pytest.raises(NoLab, match="`zosfsm lab up` makes one"):
        StateFile.load(place)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"purpose": "up", "namespaces": 3}', "[" * 100_000, "null", "\x00"]
)
def test_a_damaged_file_is_a_sentence(place: Place, text: str) -> None:
    with locked(place):
        place.state_file.write_text(text)
        with pytest.raises(LabError, match="is damaged"):
            StateFile.load(place)


def test_a_second_command_is_refused_while_one_is_at_work(place: Place) -> None:
    with locked(place), pytest.raises(LabInUse, match="another lab command"), locked(place):
        pass


def test_the_directory_is_closed_to_others(place: Place) -> None:
    with locked(place):
        assert place.directory.stat().st_mode & 0o777 == 0o700


def test_a_lock_on_a_directory_that_was_removed_meanwhile_is_not_taken_for_one(place: Place) -> None:
    with locked(place):
        place.directory.rmdir()
        with locked(place):
            assert Path(place.directory).is_dir()
