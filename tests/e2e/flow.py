"""Twenty pings a second from one workload to another, and which of them were never answered."""

from __future__ import annotations

import re
import signal
import subprocess
from types import TracebackType
from typing import Self

from zosfsm.lab.workload import Workload

INTERVAL_SECONDS = 0.05

_ANSWER = re.compile(rb"icmp_seq=([0-9]+) ")
_SENT = re.compile(rb"([0-9]+) packets transmitted")


class Flow:
    """Runs while it is entered, `with Flow(one, other) as flow:`; then it knows what was sent and what was lost."""

    def __init__(self, source: Workload, target: Workload) -> None:
        self._words = ["nsenter", f"--net={source.namespace_file}", "--", "ping", "-n", "-i", str(INTERVAL_SECONDS)]
        self._words.append(str(target.address.ip))
        self.sent = 0
        self.lost: set[int] = set()

    def __enter__(self) -> Self:
        self._ping = subprocess.Popen(
            self._words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ping.send_signal(signal.SIGINT)
        output, _ = self._ping.communicate()
        answered = {int(number) for number in _ANSWER.findall(output)}
        told = _SENT.search(output)
        self.sent = int(told[1]) if told else 0
        # The last one may have been on its way when ping was stopped.
        self.lost = set(range(1, self.sent)) - answered
