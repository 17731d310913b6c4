"""All machines of the node: each file of states/ with the code that it names. Reads the files, runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zosfsm.fsm.definition import MachineDefinition
from zosfsm.fsm.lifecycle import Lifecycle
from zosfsm.fsm.loading import load
from zosfsm.lifecycles.connectivity import Connectivity
from zosfsm.lifecycles.delivery import Delivery
from zosfsm.lifecycles.dmz import Dmz
from zosfsm.lifecycles.interface import Interface
from zosfsm.lifecycles.lease import LeaseLifecycle
from zosfsm.lifecycles.path import Path as PathLifecycle
from zosfsm.lifecycles.polling import Polling
from zosfsm.lifecycles.public import Public
from zosfsm.lifecycles.registration import Registration
from zosfsm.lifecycles.resource import Resource
from zosfsm.lifecycles.workload import Workload

LIFECYCLES: tuple[Lifecycle[Any], ...] = (
    Connectivity(),
    Interface(),
    PathLifecycle(),
    LeaseLifecycle(),
    Registration(),
    Polling(),
    Delivery(),
    Dmz(),
    Public(),
    Resource(),
    Workload(),
)


def states_directory() -> Path:
    """Where the machines' files are: beside this package in a checkout, inside it where it was installed."""
    package = Path(__file__).parents[1]
    installed = package / "states"
    return installed if installed.is_dir() else package.parent / "states"


def catalogue() -> tuple[tuple[MachineDefinition, Lifecycle[Any]], ...]:
    """Every machine with its code; DefinitionRefused where a file cannot be a machine."""
    directory = states_directory()
    return tuple((load(directory / f"{lifecycle.name}.toml"), lifecycle) for lifecycle in LIFECYCLES)
