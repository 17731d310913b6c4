"""The one exception of this room: what the lab was asked to do and why it did not, in one sentence."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not be built, used or removed; `str()` is a sentence for whoever typed the command."""


class NoLab(LabError):
    """There is no lab where one was expected."""


class LabInUse(LabError):
    """Another lab command is at work on the same lab, or a lab is up where none was expected."""
