"""The `zosfsm` command: finds the subcommand, imports only its file, and turns its failure into one sentence."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from zosfsm.cli.errors import FAILED, USAGE, CommandFailed

COMMANDS = {
    "run": "be the node: find a way out, register, poll, serve networks",
    "status": "what the node is doing",
    "why": "what stands between now and online, and what happens next",
    "history": "what the machines went through",
    "wait": "wait until a machine is in a state",
    "doctor": "what this kernel and machine offer",
    "teardown": "remove all that the node ever made",
    "diagrams": "draw the machines",
    "bcdb": "serve the grid database",
    "farm": "farms, for the farmer",
    "node": "nodes, for the farmer",
    "mesh": "a user's network over several nodes",
    "workload": "containers and virtual machines join a network of this node",
    "lab": "a virtual farm on this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; answers its exit code: 0 done, 1 failed, 2 usage or configuration, 3 not in the state asked."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else USAGE
    name = words[0]
    if name not in COMMANDS:
        print(f"zosfsm: expected a command, found {name!r}; `zosfsm --help` lists them.", file=sys.stderr)
        return USAGE
    command = importlib.import_module(f"zosfsm.cli.{name}")
    try:
        return int(command.run(parser(name).parse_args(words[1:])))
    except CommandFailed as failure:
        print(f"zosfsm {name}: {failure}", file=sys.stderr)
        return failure.exit_code
    except BrokenPipeError:
        return _leave_the_broken_pipe()
    except KeyboardInterrupt:
        return 130


def parser(name: str) -> argparse.ArgumentParser:
    """What a command understands; `name` is one of COMMANDS."""
    made = argparse.ArgumentParser(prog=f"zosfsm {name}", description=COMMANDS[name])
    importlib.import_module(f"zosfsm.cli.{name}").add_arguments(made)
    return made


def _overview() -> str:
    lines = ["usage: zosfsm COMMAND ...", "", "commands:"]
    lines += [f"  {name:<10} {sentence}" for name, sentence in COMMANDS.items()]
    return "\n".join(lines)


def _leave_the_broken_pipe() -> int:
    # The reader (`head`, say) has gone: without this the interpreter complains again while it flushes at exit.
    sys.stdout = open("/dev/null", "w")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
