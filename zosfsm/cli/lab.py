"""`zosfsm lab`: a virtual farm on this machine, and the demo of the whole path from power-on to teardown."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from zosfsm.cli.errors import DONE, FAILED, NOT_IN_STATE, USAGE, CommandFailed
from zosfsm.kernel.errors import KernelError
from zosfsm.lab.demo import run_demo
from zosfsm.lab.errors import LabError, LabInUse, NoLab
from zosfsm.lab.farm import NodeReport, build_farm, faults, find_farm, take_down, traces
from zosfsm.lab.node_process import enter
from zosfsm.lab.place import DEFAULT_PREFIX, Place
from zosfsm.lab.progress import LineProgress, plain_table, progress_on, status_table
from zosfsm.lab.report import DemoReport
from zosfsm.lab.signals import Interrupted, interruptible, undisturbed
from zosfsm.lab.state import Purpose, locked
from zosfsm.lab.topology import FARM


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", default=DEFAULT_PREFIX, help=f"which lab, and how its namespaces begin (default: {DEFAULT_PREFIX})"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|status|exec|down|demo")
    commands.add_parser("up", help="build the farm and power its nodes on")
    status = commands.add_parser("status", help="what the nodes are doing")
    execute = commands.add_parser("exec", help="run a command inside a node")
    execute.add_argument("node", metavar="NODE", help=", ".join(node.name for node in FARM.nodes))
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD...")
    commands.add_parser("down", help="remove the farm, also what an interrupted one left")
    demo = commands.add_parser("demo", help="the whole story, checked at every step, with nothing left at its end")
    for command in (status, demo):
        command.add_argument("--json", action="store_true", help="one JSON document on standard output")


def run(arguments: argparse.Namespace) -> int:
    command = {"up": _up, "status": _status, "exec": _exec, "down": _down, "demo": _demo}[arguments.command]
    _require_root()
    try:
        with interruptible():
            return command(Place(arguments.name), arguments)
    except NoLab as absent:
        raise CommandFailed(str(absent), NOT_IN_STATE) from absent
    except (LabError, KernelError) as failure:
        raise CommandFailed(str(failure), FAILED) from failure
    except Interrupted as interruption:
        raise CommandFailed(f"stopped by {interruption.signal.name}", interruption.exit_code) from interruption


def _up(place: Place, _arguments: argparse.Namespace) -> int:
    progress = LineProgress(sys.stdout)
    with locked(place):
        if _is_up(place):
            print(f"the lab {place.prefix!r} is up already; `zosfsm lab status` shows it")
            return DONE
        try:
            build_farm(place, FARM, Purpose.UP, progress.tell).start_nodes()
        except BaseException:
            with undisturbed():
                take_down(place)
            raise
    progress.tell("the nodes are powered on; `zosfsm lab status` shows what they do")
    return DONE


def _is_up(place: Place) -> bool:
    """Whether a lab is up and well. Raises LabError where one is up and is not well."""
    try:
        found = find_farm(place, FARM).file.state
    except LabError:
        return False
    if found.purpose is Purpose.DEMO or not found.complete:
        # Whoever built it is dead, or would hold the lock.
        return False
    if wrong := faults(place, FARM):
        raise LabError(f"the lab is up but {'; '.join(wrong)}; `zosfsm lab down` removes it")
    return True


def _status(place: Place, arguments: argparse.Namespace) -> int:
    farm = find_farm(place, FARM)
    reports = farm.reports()
    wrong = faults(place, FARM)
    if arguments.json:
        print(json.dumps({"schema": 1, "nodes": [_document(report) for report in reports], "faults": list(wrong)}))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(status_table(reports))
    else:
        print(plain_table(reports))
    for sentence in wrong:
        print(f"zosfsm lab: {sentence}", file=sys.stderr)
    return FAILED if wrong else DONE


def _document(report: NodeReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "role": report.role,
        "running": report.running,
        "node_id": report.status.node_id,
        "online": report.status.online,
        "boot_seconds": report.status.boot_seconds,
        "machines": {name: machine.state for name, machine in report.status.machines.items()},
    }


def _exec(place: Place, arguments: argparse.Namespace) -> int:
    node = FARM.node(arguments.node)
    if node is None:
        names = ", ".join(known.name for known in FARM.nodes)
        raise CommandFailed(f"expected one of the nodes {names}, found {arguments.node!r}", USAGE)
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise CommandFailed("expected a command after `--`, found none", USAGE)
    entrance = enter(place, node, find_farm(place, FARM).file)
    sys.stdout.flush()
    # The `zosfsm` of this installation, which a virtual environment may keep out of the usual path.
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    # In place of this process, so that signals, terminal and exit code are the command's own.
    os.execvpe(entrance[0], [*entrance, *words], {**os.environ, "PATH": path})


def _down(place: Place, _arguments: argparse.Namespace) -> int:
    if not traces(place):
        print("there is no lab")
        return DONE
    with locked(place), undisturbed():
        take_down(place)
    print("the lab is gone")
    return DONE


def _demo(place: Place, arguments: argparse.Namespace) -> int:
    report = DemoReport()
    try:
        with progress_on(sys.stderr if arguments.json else sys.stdout) as progress:
            run_demo(place, FARM, progress, report)
    except LabInUse:
        raise
    except (LabError, KernelError) as failure:
        report.faults.append(str(failure))
    _print_report(report, as_json=arguments.json)
    if report.faults:
        raise CommandFailed(f"the demo found false: {'; '.join(report.faults)}", FAILED)
    return DONE


def _print_report(report: DemoReport, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_document(), indent=2))
        return
    print()
    print("\n".join(report.as_lines()))


def _require_root() -> None:
    if os.geteuid() != 0:
        raise CommandFailed("expected to be root, which makes network namespaces; run it with sudo", USAGE)
