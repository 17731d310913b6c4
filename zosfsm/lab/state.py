"""What the lab has made, on disk before it is made: so that what an interrupted lab leaves can be found and removed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import cattrs
from attrs import evolve, frozen

from zosfsm.lab.errors import LabError, LabInUse, NoLab
from zosfsm.lab.place import Place
from zosfsm.lab.processes import ProcessIdentity

SCHEMA = 1


class Purpose(StrEnum):
    """Who the lab is for: `up` stays until `lab down`, a demo's goes with the demo."""

    UP = "up"
    DEMO = "demo"


@frozen
class ProcessRecord:
    """A process by its name in the lab; `identity` is None while it is about to be started."""

    name: str
    identity: ProcessIdentity | None = None


@frozen
class LabState:
    """The content of the state file. `farm` is the farm's id in the lab's grid, once it has one."""

    purpose: Purpose
    namespaces: tuple[str, ...]
    processes: tuple[ProcessRecord, ...] = ()
    complete: bool = False
    farm: int | None = None
    schema: int = SCHEMA

    def process(self, name: str) -> ProcessIdentity | None:
        """The process called `name`, whether it lives or not; None if it was never started."""
        return next((record.identity for record in self.processes if record.name == name), None)


class StateFile:
    """The state of one lab, in memory and on disk alike; each change is on disk when the method returns."""

    def __init__(self, place: Place, state: LabState) -> None:
        self._place = place
        self.state = state

    @classmethod
    def begin(cls, place: Place, purpose: Purpose, namespaces: tuple[str, ...]) -> StateFile:
        """Note that a lab of these namespaces is about to be built."""
        file = cls(place, LabState(purpose, namespaces))
        file._write()
        return file

    @classmethod
    def load(cls, place: Place) -> StateFile:
        """The lab that is there. Raises NoLab where there is none, LabError where the file is damaged."""
        try:
            text = place.state_file.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NoLab("expected a lab, found none; `zosfsm lab up` makes one") from error
        try:
            state = cattrs.structure(json.loads(text), LabState)
        except (ValueError, TypeError, KeyError, RecursionError, cattrs.BaseValidationError) as error:
            raise LabError(f"{place.state_file} is damaged; `zosfsm lab down` removes what is there") from error
        return cls(place, state)

    def about_to_start(self, name: str) -> None:
        self._note(ProcessRecord(name))

    def started(self, name: str, identity: ProcessIdentity) -> None:
        self._note(ProcessRecord(name, identity))

    def completed(self, farm: int) -> None:
        """Note that everything is there, and the farm's id."""
        self.state = evolve(self.state, complete=True, farm=farm)
        self._write()

    def _note(self, record: ProcessRecord) -> None:
        others = tuple(known for known in self.state.processes if known.name != record.name)
        self.state = evolve(self.state, processes=(*others, record))
        self._write()

    def _write(self) -> None:
        target = self._place.state_file
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(cattrs.unstructure(self.state), indent=1) + "\n", encoding="utf-8")
        draft.replace(target)


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Keep every other lab command away from this lab while the body runs; the kernel lets go when the process dies.

    Makes the lab's directory. Raises LabInUse where another command is at work.
    """
    while True:
        place.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(handle, place)
            if _is_in_place(handle, place):
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, place: Place) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LabInUse(
            f"expected the lab {place.prefix!r} to be left alone, found another lab command at work on it; "
            "wait for it, or end it"
        ) from error


def _is_in_place(handle: int, place: Place) -> bool:
    # Who held the lock before may have removed the directory: then this is a lock on nothing.
    try:
        return os.path.samestat(os.fstat(handle), place.directory.stat())
    except FileNotFoundError:
        return False
