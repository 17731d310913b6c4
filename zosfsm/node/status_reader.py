"""Reads a node's status file, and notices where its process died without a last word. Changes nothing."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from zosfsm.node.lock import LOCK_NAME, is_held
from zosfsm.node.status import STATUS_NAME
from zosfsm.node.status_entries import Status, StatusMalformed, WarningEntry, from_json
from zosfsm.node.warning_codes import CODES, sentence


class StatusUnavailable(Exception):
    """There is a status file that cannot be used; one sentence."""


class StatusAbsent(StatusUnavailable):
    """There is no status file, or none of the present start yet; one sentence."""


def read_status(run_directory: Path) -> Status:
    """What the node last said, with `online` false where nobody is there any more to say it."""
    status = _read(run_directory / STATUS_NAME)
    if is_held(run_directory):
        if _is_of_an_earlier_start(run_directory):
            raise StatusAbsent("the node has just been started and has said nothing yet: ask again")
        return status
    # It may have said its last word and ended since it was read.
    status = _read(run_directory / STATUS_NAME)
    return status if is_over(status) else _of_the_killed(status)


def is_over(status: Status) -> bool:
    """Has the node's process ended?"""
    return any(warning.code in ("stopped", "killed") for warning in status.warnings)


def _read(path: Path) -> Status:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StatusAbsent(
            f"expected a status file at {path}, found none: is the node running here? start it with `zosfsm run`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StatusUnavailable(f"the status file {path} cannot be read: {error}") from error
    except StatusMalformed as error:
        raise StatusUnavailable(f"the status file {path} was written by something else than this: {error}") from error


def _is_of_an_earlier_start(run_directory: Path) -> bool:
    # The lock's file is written once a start. While both files are being replaced, neither answer is wrong.
    try:
        lock, status = (run_directory / name for name in (LOCK_NAME, STATUS_NAME))
        return status.stat().st_mtime_ns < lock.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _of_the_killed(status: Status) -> Status:
    warning = WarningEntry("killed", sentence("", "", CODES["killed"]), None, status.updated)
    return evolve(status, online=False, warnings=(warning, *status.warnings))
