"""Where a lab lives on this machine: the prefix of its namespaces and the directory of its files. It makes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import field, frozen

from zosfsm.kernel.namespaces import DIRECTORY
from zosfsm.lab.errors import LabError

DEFAULT_PREFIX = "zl"
_PREFIX = re.compile(r"[a-z][a-z0-9]{0,11}")


def _is_prefix(_instance: object, _attribute: object, value: str) -> None:
    if not _PREFIX.fullmatch(value):
        raise LabError(
            f"expected a lab's name of 1 to 12 small letters and digits, beginning with a letter, found {value!r}"
        )


@frozen
class Place:
    """Names and paths of one lab; two labs with different prefixes do not meet."""

    prefix: str = field(default=DEFAULT_PREFIX, validator=_is_prefix)

    @property
    def directory(self) -> Path:
        """Everything that the lab writes is in here, mode 0700."""
        return Path("/run/zosfsm-lab" if self.prefix == DEFAULT_PREFIX else f"/run/zosfsm-lab-{self.prefix}")

    @property
    def state_file(self) -> Path:
        return self.directory / "lab.json"

    @property
    def grid_database(self) -> Path:
        return self.directory / "grid.sqlite"

    def namespace(self, name: str) -> str:
        """The name in /run/netns of what the topology calls `name`."""
        return f"{self.prefix}-{name}"

    def namespace_file(self, name: str) -> Path:
        return DIRECTORY / self.namespace(name)

    def log_file(self, process: str) -> Path:
        return self.directory / "logs" / f"{process}.log"

    def node_directory(self, node: str) -> Path:
        """What a node keeps over its restarts, and where its private /run is first mounted."""
        return self.directory / "nodes" / node

    def owns(self, namespace: str) -> bool:
        """Whether a namespace of this machine is a trace of this lab."""
        return namespace.startswith(f"{self.prefix}-")
