"""The pictures of a network."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from attrs import evolve

from tests.mesh.networks import dual, hidden, in_lan, keys, node_id, only_v6, public, request_for
from zosfsm.mesh.drawing import mesh_dot, mesh_mermaid
from zosfsm.mesh.planning import plan
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import AccessRequest


def network(name: str = "office") -> MeshPlan:
    facts = [dual(1), only_v6(2), hidden(3), in_lan(4), in_lan(5)]
    request = request_for(*facts, access=(AccessRequest("laptop", node_id(1)),), name=name)
    return plan(request, facts, keys)


def short(number: int) -> str:
    return node_id(number)[:8]


def test_mermaid_has_every_member_with_its_role_and_subnet() -> None:
    text = mesh_mermaid(network())
    assert f'n0["{short(1)}<br/>public, relay<br/>10.1.1.0/24"]:::relay' in text
    assert f'n1["{short(2)}<br/>public<br/>10.1.2.0/24"]:::public' in text
    assert f'n3["{short(4)}<br/>hidden<br/>10.1.4.0/24"]:::hidden' in text
    assert 'n5["laptop<br/>access<br/>10.1.6.0/24"]:::access' in text


def test_mermaid_has_one_link_for_each_pair_and_one_for_each_access() -> None:
    links = re.findall(r"^  (n\d) (\S+?)(?:\|\"(.*)\"\|)? (n\d)$", mesh_mermaid(network()), re.MULTILINE)
    assert len(links) == 10 + 1
    assert ("n5", "-->", "", "n0") in links
    assert ("n0", "<-->", "IPv6", "n1") in links
    assert ("n2", "-->", "IPv4", "n0") in links, "the arrow points at who is dialled"
    assert ("n3", "<-->", "LAN", "n4") in links
    assert ("n1", "---", "", "n2") in links


def test_mermaid_dashes_the_lan_and_dots_what_a_relay_carries() -> None:
    lines = mesh_mermaid(network()).splitlines()
    links = [line for line in lines if re.match(r"  n\d \S*-", line)]
    looks = {
        number: look
        for numbers, look in re.findall(r"linkStyle ([\d,]+) (.+)", "\n".join(lines))
        for number in numbers.split(",")
    }
    assert len(looks) == len(links)
    for number, link in enumerate(links):
        look = looks[str(number)]
        assert ("dasharray:9 5" in look) == ("LAN" in link)
        assert ("dasharray:2 5" in look) == (" --- " in link)


def test_a_second_relay_makes_it_worth_saying_which() -> None:
    facts = [public(1), dual(2), only_v6(3), hidden(4), hidden(5)]
    first = MeshPlan("office", network().range, relays=(node_id(1),))
    text = mesh_mermaid(plan(request_for(*facts), facts, keys, first))
    assert f'---|"by {short(1)}"|' in text
    assert f'---|"by {short(2)}"|' in text


def test_a_name_cannot_break_out_of_its_quotes() -> None:
    whole = network('a"]; end #quot; `\\" -> x')
    title = mesh_mermaid(whole).splitlines()[1]
    assert title.count('"') == 2 and not set("#;`\\") & set(title)
    dot = mesh_dot(whole)
    assert dot.startswith('digraph "a\\"]; end #quot; `\\\\\\" -> x" {')


def test_no_private_key_is_drawn() -> None:
    whole = network()
    for text in (mesh_mermaid(whole), mesh_dot(whole)):
        assert not any(member.private_key in text for member in (*whole.resources, *whole.access))


def test_dot_has_levels_and_every_link() -> None:
    text = mesh_dot(network())
    public_ones = f'{{rank=same; "{node_id(1)}"; "{node_id(2)}";}}'
    assert public_ones in text
    assert text.count(" -> ") == 11
    assert f'"{node_id(1)}" -> "{node_id(3)}" [dir=back style=solid' in text
    assert f'"{node_id(4)}" -> "{node_id(5)}" [dir=both style=dashed' in text
    assert f'"{node_id(2)}" -> "{node_id(3)}" [dir=none style=dotted' in text
    assert f'"laptop" -> "{node_id(1)}" [dir=forward' in text


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
@pytest.mark.parametrize("name", ["office", 'a"]; <b> \\'])
def test_graphviz_draws_it(name: str) -> None:
    facts = [hidden(1)]
    for whole in (network(name), plan(evolve(request_for(*facts), name=name), facts, keys)):
        done = subprocess.run(["dot", "-Tsvg"], input=mesh_dot(whole), capture_output=True, text=True, check=True)
        assert done.stderr == "" and "</svg>" in done.stdout
