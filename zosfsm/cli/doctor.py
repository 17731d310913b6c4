"""`zosfsm doctor`: what this kernel and machine offer a node, and what follows from what they do not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from zosfsm.cli.errors import DONE, FAILED
from zosfsm.cli.grid_calls import print_table
from zosfsm.cli.status import add_run_directory
from zosfsm.node.configuration import STATE_DIRECTORY
from zosfsm.node.examination import Finding, can_run, examine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `zosfsm doctor`."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--state-dir", type=Path, default=STATE_DIRECTORY, metavar="DIR", help="is it writable? (%(default)s)"
    )
    add_run_directory(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where a node can run here, 1 where it cannot."""
    findings = list(examine(arguments.state_dir, arguments.run_dir))
    runs = can_run(findings)
    if arguments.json:
        document = {"schema": 1, "can_run": runs, "findings": [_document(finding) for finding in findings]}
        print(json.dumps(document, indent=2))
    else:
        print_table(("what", "grade", "found"), [_row(finding) for finding in findings])
        print("\na node can run here" if runs else "\na node cannot run here: see what is missing")
    return DONE if runs else FAILED


def _row(finding: Finding) -> tuple[str, str, str]:
    told = f"{finding.found}: {finding.consequence}" if finding.consequence else finding.found
    return finding.subject, finding.grade.value, told


def _document(finding: Finding) -> dict[str, str]:
    return {
        "subject": finding.subject,
        "grade": finding.grade.value,
        "found": finding.found,
        "consequence": finding.consequence,
    }
