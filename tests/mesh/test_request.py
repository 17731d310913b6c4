"""The user's TOML file: what it says, and how it is refused."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.mesh.networks import node_id
from zosfsm.mesh.errors import RequestInvalid
from zosfsm.mesh.request import AccessRequest, MeshRequest, NodeRequest, parse

ONE, TWO = node_id(1), node_id(2)
GOOD = f"""
name = "office"
range = "10.1.0.0/16"
duration = "2 w"
[[nodes]]
id = "{ONE}"
subnet = "10.1.7.0/24"
port = 3000
[[nodes]]
id = "{TWO}"
[[access]]
name = "laptop"
through = "{ONE}"
"""


def test_a_whole_file_is_read() -> None:
    assert parse(GOOD, "office.toml") == MeshRequest(
        "office",
        IPv4Network("10.1.0.0/16"),
        (NodeRequest(ONE, IPv4Network("10.1.7.0/24"), 3000), NodeRequest(TWO)),
        timedelta(days=14),
        (AccessRequest("laptop", ONE),),
    )


def test_what_is_optional_may_be_left_out() -> None:
    request = parse(f'name = "a"\nrange = "192.168.0.0/16"\nnodes = [{{id = "{ONE}"}}]', "f")
    assert request.duration == timedelta(days=30)
    assert request.access == ()
    assert request.nodes == (NodeRequest(ONE),)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "office"', "", "name"),
        ('name = "office"', 'name = ""', "name"),
        ('name = "office"', 'name = "a\\u0007b"', "name"),
        ('name = "office"', "name = 3", "name"),
        ('name = "office"', f'name = "{"x" * 65}"', "name"),
        ('range = "10.1.0.0/16"', 'range = "10.1.0.0/24"', "range"),
        ('range = "10.1.0.0/16"', 'range = "10.1.2.0/16"', "range"),
        ('range = "10.1.0.0/16"', 'range = "8.8.0.0/16"', "range"),
        ('range = "10.1.0.0/16"', 'range = "fd00::/16"', "range"),
        ('range = "10.1.0.0/16"', "range = 167837696", "range"),
        ('duration = "2 w"', 'duration = "0 d"', "duration"),
        ('duration = "2 w"', 'duration = "-3 d"', "duration"),
        ('duration = "2 w"', 'duration = "101 y"', "duration"),
        ('duration = "2 w"', 'duration = "36501 d"', "duration"),
        ('duration = "2 w"', "duration = 30", "duration"),
        ('duration = "2 w"', 'duraton = "2 w"', "duraton"),
        ("port = 3000", "port = 1999", "nodes[0].port"),
        ("port = 3000", "port = 8001", "nodes[0].port"),
        ("port = 3000", "port = true", "nodes[0].port"),
        ("port = 3000", 'port = "3000"', "nodes[0].port"),
        ("port = 3000", "prot = 3000", "nodes[0].prot"),
        ('subnet = "10.1.7.0/24"', 'subnet = "10.1.0.0/24"', "nodes[0].subnet"),
        ('subnet = "10.1.7.0/24"', 'subnet = "10.2.7.0/24"', "nodes[0].subnet"),
        (f'id = "{TWO}"', f'id = "{ONE}"', "nodes[1].id"),
        (f'id = "{TWO}"', 'id = "not base58: 0OIl"', "nodes[1].id"),
        (f'id = "{TWO}"', 'id = "abc"', "nodes[1].id"),
        (f'id = "{TWO}"', f'id = "{TWO} "', "nodes[1].id"),
        (f'id = "{TWO}"', f'id = "{TWO}"\nsubnet = "10.1.7.0/24"', "nodes[1].subnet"),
        ('name = "laptop"', 'name = "a laptop of mine"', "access[0].name"),
        ('name = "laptop"', 'name = ".."', "access[0].name"),
        (f'through = "{ONE}"', f'through = "{node_id(3)}"', "access[0].through"),
        (f'through = "{ONE}"', "", "access[0].through"),
        ("[[access]]", "[access]", "access"),
    ],
)
def test_a_wrong_value_is_refused_by_file_and_key(old: str, new: str, key: str) -> None:
    assert old in GOOD
    with pytest.raises(RequestInvalid) as refusal:
        parse(GOOD.replace(old, new, 1), "office.toml")
    assert refusal.value.key == key
    sentence = str(refusal.value)
    assert sentence.startswith(f"office.toml: {key}: expected ")
    assert ", found " in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "text",
    [
        *("", "name =", "[[nodes]", "a = 1\na = 2", 'name = "a"\nrange = "10.1.0.0/16"', "\x00", "a = '\ud800'"),
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "9" * 5000,
        "port = 0x" + "f" * 5000,
        "range = 0x" + "f" * 9000,
        f'name = "a"\nrange = "10.1.0.0/16"\n[[nodes]]\nid = "{ONE}"\nport = 0x{"f" * 9000}',
        "x = 9999-99-99",
        "#" * (1 << 20) + "#",
    ],
)
def test_what_is_no_request_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        parse(text, "f")
    assert len(str(refusal.value)) < 500


_scalars = st.one_of(
    st.text(max_size=20).map(lambda text: '"' + "".join(f"\\U{ord(c):08X}" for c in text if c.isprintable()) + '"'),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["true", "nan", "inf", "1979-05-27", "[]", "{}", "[[]]", '[{id = "x"}]', "[1, {}]", '"30 d"']),
    st.sampled_from([f'"{ONE}"', '"10.1.0.0/16"', '"10.1.1.0/24"', "3000", '"laptop"']),
)
_keys = st.sampled_from(["name", "range", "duration", "nodes", "access", "id", "subnet", "port", "through", "other"])
_heads = st.sampled_from(["", "[[nodes]]", "[[access]]", "[nodes]"])
_lines = st.one_of(st.builds("{} = {}".format, _keys, _scalars), _heads)


@given(st.one_of(st.lists(_lines, max_size=12).map("\n".join), st.text(max_size=200)))
@example(GOOD)
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    try:
        request = parse(text, "f")
    except RequestInvalid as refusal:
        assert str(refusal)
    else:
        assert request.nodes
