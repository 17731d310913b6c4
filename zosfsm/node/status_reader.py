"""Reads a node's status file, and notices where its process died without a last word. Changes nothing."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from zosfsm.node.lock import is_held
from zosfsm.node.status import STATUS_NAME
from zosfsm.node.status_entries import Status, StatusMalformed, WarningEntry, from_json
from zosfsm.node.warning_codes import CODES, sentence


class StatusUnavailable(Exception):
    """There is a status file that cannot be used; one sentence."""


class StatusAbsent(StatusUnavailable):
    """There is no status file; one sentence."""


def read_status(run_directory: Path) -> Status:
    """What the node last said, with `online` false where nobody is there any more to say it."""
    path = run_directory / STATUS_NAME
    try:
        status = from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StatusAbsent(
            f"expected a status file at {path}, found none: is the node running here? start it with `zosfsm run`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StatusUnavailable(f"the status file {path} cannot be read: {error}") from error
    except StatusMalformed as error:
        raise StatusUnavailable(f"the status file {path} was written by something else than this: {error}") from error
    return status if is_over(status) or is_held(run_directory) else _of_the_killed(status)


def is_over(status: Status) -> bool:
    """Has the node's process ended?"""
    return any(warning.code in ("stopped", "killed") for warning in status.warnings)


def _of_the_killed(status: Status) -> Status:
    warning = WarningEntry("killed", sentence("", "", CODES["killed"]), None, status.updated)
    return evolve(status, online=False, warnings=(warning, *status.warnings))
