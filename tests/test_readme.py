"""What the README tells a stranger to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from zosfsm.cli.main import COMMANDS, parser
from zosfsm.lifecycles.catalogue import catalogue
from zosfsm.node.command_line import parse
from zosfsm.node.configuration import configure
from zosfsm.node.warning_codes import CODES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SITUATIONS = [
    tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
    for line in README.partition("| situation | state | warning code | sentence |\n| --- | --- | --- | --- |\n")[2]
    .partition("\n\n")[0]
    .splitlines()
]
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


def test_the_readmes_uplink_table_is_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "zosfsm.toml"
    file.write_text("[uplink]\n" + README.partition("```toml\n[uplink]\n")[2].partition("```")[0])
    found = configure(file, None, None, "", {})
    assert (found.policy.preferred, found.policy.vlan) == (("eth1", "02:00:00:00:00:01"), 100)
    assert len(found.endpoints) == 2


@pytest.mark.parametrize(
    "word",
    [
        *(
            "farmer_id=1",
            "runmode=test",
            "runmode=dev bcdb=http://192.0.2.1",
            "zos-debug",
            "vlan:priv=100",
            "pub:mac=swap",
        ),
        *("nic:prefer=eth1,eth0", "bootdev=eth0", "BOOTIF=01-02-00-5e-10-00-01", "nic:exclude=eth2", "vlan:pub=7"),
        *("ip=dhcp", "ip=on", "ip=any", "ip=eth0:dhcp6", "ip=auto6", "ip=either6", "ip=eth0:none", "ip=eth0:off"),
        "ip=192.0.2.7::192.0.2.1:24::eth0:none nameserver=192.0.2.53",
    ],
)
def test_a_word_of_the_readmes_command_line_is_understood(word: str) -> None:
    assert parse(word).complaints == ()
    assert re.split("[=:]", word)[0] in README


def test_the_readme_tells_many_situations() -> None:
    assert len(SITUATIONS) > 20
    assert len({name for name, *_ in SITUATIONS}) == len(SITUATIONS)


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row[0])
def test_a_situation_of_the_readme_has_a_state_and_a_code_that_exist(row: tuple[str, ...]) -> None:
    _, state, code, sentence = row
    machine, _, name = state.partition(": ")
    states = {definition.name: definition.states for definition, _ in catalogue()}
    assert name in states[machine]
    assert code == "-" or code in CODES
    assert sentence.endswith(".")
