"""Where keys are, and where they must not be: a node that carries a user's network is searched as a thief would."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path

import base58
import pytest
from attrs import frozen

from tests.e2e.small_farm import NodeUnderTest, SmallFarm
from tests.e2e.user import User
from zosfsm.lab.node_process import RUN_DIRECTORY, STATE_DIRECTORY, inside
from zosfsm.mesh.plans import MeshPlan
from zosfsm.mesh.request import NodeRequest

pytestmark = pytest.mark.e2e

SEED = "identity.seed"


@frozen
class Carrier:
    """A node with an active network; `state`, `run` and `memory` are its directories as seen from here."""

    farm: SmallFarm
    node: NodeUnderTest
    mesh: MeshPlan
    state: Path
    run: Path
    memory: Path

    @property
    def seed(self) -> bytes:
        return (self.state / SEED).read_bytes()


@pytest.fixture(scope="module")
def mesh(farm: SmallFarm, user: User) -> MeshPlan:
    """A network that was made, changed, and carried over a restart: so every way to write something was gone."""
    plan = user.plan("secrets", [NodeRequest(node.identifier) for node in farm.nodes])
    network = user.network(plan)
    user.apply(plan, *farm.nodes)
    for node in farm.nodes:
        node.wait_active(network)
    newer = user.plan("secrets", [NodeRequest(node.identifier, None, 5000) for node in farm.nodes], plan)
    reservations = user.apply(newer, *farm.nodes)
    for node in farm.nodes:
        assert user.answer(reservations[node.node.name]).error == ""
        node.kill()
        node.start()
        node.wait_active(network)
    return newer


@pytest.fixture(params=["public", "hidden"])
def carrier(request: pytest.FixtureRequest, farm: SmallFarm, mesh: MeshPlan) -> Carrier:
    node: NodeUnderTest = getattr(farm, request.param)
    state, run, memory = (inside(node.node, farm.farm.file, path) for path in (STATE_DIRECTORY, RUN_DIRECTORY, "/run"))
    return Carrier(farm, node, mesh, state, run, memory)


def spellings(key: bytes) -> dict[str, bytes]:
    """A key as bytes, and as every text that somebody might have made of it."""
    texts = {"hex": key.hex(), "HEX": key.hex().upper(), "base64": base64.b64encode(key).decode().rstrip("=")}
    texts |= {"base58": base58.b58encode(key).decode(), "Python": repr(key)[2:-1], "list": str(list(key))[1:-1]}
    return {"bytes": key} | {name: text.encode() for name, text in texts.items()}


def files(*directories: Path) -> Iterator[Path]:
    for directory in directories:
        # What is under netns are namespaces, which nobody reads.
        found = (path for path in directory.rglob("*") if "netns" not in path.parts)
        yield from (path for path in found if path.is_file() and not path.is_symlink())


def finds(places: dict[Path, bytes], key: bytes) -> list[tuple[str, str]]:
    """Each place in which the key is, and how it is written there."""
    return [
        (str(place), spelling)
        for place, content in places.items()
        for spelling, text in spellings(key).items()
        if text in content
    ]


def test_no_private_key_is_in_any_file_but_the_seeds_own(carrier: Carrier) -> None:
    everywhere = {path: path.read_bytes() for path in files(carrier.farm.farm.place.directory, carrier.memory)}
    names = {path.name for path in everywhere}
    assert {SEED, "node.sqlite", "status.json", "zosfsm.prom", "grid.sqlite", f"{carrier.node.node.name}.log"} <= names
    for number, resource in enumerate(carrier.mesh.resources, start=1):
        assert finds(everywhere, base64.b64decode(resource.public_key)), f"the public key {number} is not found either"
        assert finds(everywhere, base64.b64decode(resource.private_key)) == []
    found = finds(everywhere, carrier.seed)
    assert {Path(place).name for place, _ in found} == {SEED}
    assert {spelling for _, spelling in found} == {"bytes"}


def test_no_private_key_is_told_to_a_process(carrier: Carrier) -> None:
    told: dict[Path, bytes] = {}
    for process in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                told[process / name] = (process / name).read_bytes() if process.name.isdigit() else b""
            except OSError:
                continue
    tunnels = [told[Path(f"/proc/{pid}/cmdline")] for pid in carrier.node.tunnels()]
    assert tunnels and all(b"wireguard-go" in tunnel for tunnel in tunnels)
    for key in (carrier.seed, *(base64.b64decode(resource.private_key) for resource in carrier.mesh.resources)):
        assert finds(told, key) == []


def test_only_what_others_are_to_read_may_be_read_by_others(carrier: Carrier) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    state = {path.name: mode(path) for path in carrier.state.iterdir()}
    assert state.pop(SEED) == 0o400
    assert {"node.sqlite", "node.sqlite-wal", "node.sqlite-shm"} <= state.keys()
    assert set(state.values()) == {0o600}
    assert mode(carrier.state) == 0o700
    run = {path.name: mode(path) for path in carrier.run.iterdir() if not path.is_symlink()}
    assert (run.pop("node.lock"), run.pop("control.sock"), run.pop("looks")) == (0o600, 0o600, 0o700)
    assert run == dict.fromkeys(("status.json", "zosfsm.prom", "resolv.conf"), 0o644)
    sockets = [path for path in carrier.memory.rglob("*.sock") if path.is_socket()]
    assert sockets and all(mode(path) & 0o077 == 0 or mode(path.parent) & 0o077 == 0 for path in sockets)


def test_the_node_listens_to_nobody_but_its_tunnel(carrier: Carrier) -> None:
    assert carrier.node.run("ss", "-Hltn") == ""
    assert carrier.node.open_ports() == (5000,)
