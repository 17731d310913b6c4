"""Signals that end a command: an exception outside of cleaning up, and nothing during it."""

from __future__ import annotations

import os
import signal

import pytest

from zosfsm.lab.signals import Interrupted, interruptible, undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_of_them_interrupts_with_the_shells_exit_code(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught, interruptible():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == 128 + number


def test_cleaning_up_is_not_interrupted() -> None:
    with interruptible(), undisturbed():
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_was_there_before_is_there_after() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(), undisturbed():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
