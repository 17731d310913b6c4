"""What the README tells a stranger to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from zosfsm.cli.main import COMMANDS, parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TYPED = re.findall(r"^\$ (.+)$", README, re.MULTILINE)


def test_the_readme_shows_commands() -> None:
    assert TYPED


@pytest.mark.parametrize("line", [line for line in TYPED if line.startswith("zosfsm ")])
def test_every_zosfsm_command_of_the_readme_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[1] in COMMANDS
    parser(words[1]).parse_args(words[2:])


@pytest.mark.parametrize("line", [line for line in TYPED if line.startswith("make ")])
def test_every_make_target_of_the_readme_exists(line: str) -> None:
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"zosfsm {name}" in README


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
