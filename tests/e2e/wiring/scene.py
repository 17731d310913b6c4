"""What the steps of a story have in common: the scene on which they play, and how they wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from attrs import frozen

from tests.e2e.wiring.ground import Ground
from tests.e2e.wiring.node import Node
from tests.e2e.wiring.processes import until


@frozen
class Scene:
    """What a step can do something to, or look at."""

    ground: Ground
    node: Node

    def until(self, step: Step, is_so: Callable[[], bool]) -> None:
        """Wait until it is so; where it never is, the test fails with all that is known."""

        def look() -> bool:
            assert self.node.runs(), f"the node ended while {step} was waited for\n{self.told()}"
            return is_so()

        until(look, lambda: f"waited in vain for {step}\n{self.told()}")

    def told(self) -> str:
        return f"{self.node.told()}\n{self.ground.logs()}"


@frozen
class Step(ABC):
    """One line of a story."""

    @abstractmethod
    def play(self, scene: Scene) -> None:
        """Do it, or wait until it is so."""
