"""`zosfsm mesh` against a real grid server, with the nodes' part played by real clients."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nacl.public import PrivateKey

from tests.cli.mesh_server import (
    HIDDEN,
    NODES,
    OTHER,
    PUBLIC,
    Grid,
    Players,
    mesh,
    nodes_printed,
    playing,
    serving,
    settle_in,
    state,
    write_request,
)
from zosfsm.grid.identity import Identity
from zosfsm.grid.network import NetworkReservation
from zosfsm.grid.reservations import Result, ResultState
from zosfsm.grid.signing import reservation_holds


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return settle_in(tmp_path, monkeypatch)


def test_a_network_is_applied_shown_and_deleted(grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Players(grid)):
        assert mesh("apply", file, "--grid", grid.url, "--json") == 0
        applied = nodes_printed(capsys.readouterr().out)
        assert {node["state"] for node in applied.values()} == {"ok"}
        assert {node["change"] for node in applied.values()} == {"create"}
        # The grid's address is remembered.
        assert mesh("show", file, "--json") == 0
        shown = nodes_printed(capsys.readouterr().out)
        assert {node["reservation"] for node in shown.values()} == {node["reservation"] for node in applied.values()}
        assert mesh("delete", file) == 0
    assert not file.with_name("office.toml.state.json").exists()
    assert all(reservation.to_delete for node in NODES for reservation in grid.of(node))
    assert mesh("show", file) == 3
    assert mesh("delete", file) == 3


def test_every_node_gets_the_same_data_signed_and_can_open_its_own_key_only(grid: Grid, file: Path) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    reservations = [grid.of(node)[0] for node in NODES]
    assert len({reservation.data for reservation in reservations}) == 1
    assert all(reservation_holds(reservation) for reservation in reservations)
    network = NetworkReservation.from_text(reservations[0].data)
    for node in NODES:
        own = network.resource_of(node.identifier)
        private = base64.b64decode(node.unseal(own.wg_private_key))
        assert base64.b64encode(bytes(PrivateKey(private).public_key)).decode() == own.wg_public_key
    assert str(network.resource_of(HIDDEN.identifier).peers[0].endpoint).startswith("203.0.113.5:")


def test_the_state_file_and_the_identity_are_for_the_owner_only(grid: Grid, file: Path, tmp_path: Path) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    assert stat.S_IMODE(file.with_name("office.toml.state.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / ".config/zosfsm/identity.seed").stat().st_mode) == 0o400


def test_plan_says_what_apply_does_and_does_nothing(
    grid: Grid, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mesh("plan", file, "--grid", grid.url, "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert grid.of(PUBLIC) == ()
    assert not (tmp_path / ".config").exists()
    assert not file.with_name("office.toml.state.json").exists()
    assert [node["role"] for node in planned["nodes"]] == ["public, relay", "hidden", "hidden"]
    assert {change["change"] for change in planned["changes"]} == {"create"}

    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    network = NetworkReservation.from_text(grid.of(PUBLIC)[0].data)
    assert [(r.node_id, str(r.subnet), r.wg_listen_port) for r in network.net_resources] == [
        (node["node_id"], node["subnet"], node["port"]) for node in planned["nodes"]
    ]
    assert [(pair["path"], pair["kind"]) for pair in planned["pairs"]] == [
        *[("direct IPv4", "direct")] * 3,
        (f"by way of {PUBLIC.identifier}", "relayed"),
        ("direct IPv4", "direct"),
        (f"by way of {PUBLIC.identifier}", "relayed"),
    ]
    capsys.readouterr()
    assert mesh("plan", file) == 0
    text = capsys.readouterr().out
    assert text.count("keep") >= 3
    assert f"by way of {PUBLIC.identifier[:8]} " in text
    assert not any(node["private_key"] in text for node in state(file)["nodes"])


def test_apply_again_leaves_alone_what_is_right(grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Players(grid)):
        assert mesh("apply", file, "--grid", grid.url) == 0
        # As the nodes say now: these ports are in use, by us.
        for node in state(file)["nodes"]:
            grid.ask("publish_ports", node["member"], [node["port"]])
        before = state(file)
        capsys.readouterr()
        assert mesh("apply", file, "--json") == 0
    assert {node["change"] for node in nodes_printed(capsys.readouterr().out).values()} == {"keep"}
    assert state(file) == before
    assert [len(grid.of(node)) for node in NODES] == [1, 1, 1]


def test_a_node_that_joins_changes_nothing_of_the_others_but_their_peers(grid: Grid, file: Path) -> None:
    write_request(file, (PUBLIC, HIDDEN))
    with playing(Players(grid)):
        assert mesh("apply", file, "--grid", grid.url) == 0
        before = state(file)["nodes"]
        write_request(file, (OTHER, PUBLIC, HIDDEN))
        assert mesh("apply", file) == 0
        after = {node["member"]: node for node in state(file)["nodes"]}
    for node in before:
        for key in ("subnet", "port", "public_key", "private_key"):
            assert after[node["member"]][key] == node[key]
    assert len(after[HIDDEN.identifier]["reservations"]) == 2


def test_a_node_that_leaves_the_file_is_removed(grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Players(grid)):
        assert mesh("apply", file, "--grid", grid.url) == 0
        write_request(file, (PUBLIC, HIDDEN))
        capsys.readouterr()
        assert mesh("apply", file, "--json") == 0
    assert nodes_printed(capsys.readouterr().out)[OTHER.identifier]["state"] == "removed"
    assert [node["member"] for node in state(file)["nodes"]] == [PUBLIC.identifier, HIDDEN.identifier]
    assert [reservation.to_delete for reservation in grid.of(OTHER)] == [True]


def test_a_refusal_is_told_with_its_reason_and_a_later_apply_completes(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    players = Players(grid, {HIDDEN: "port 7573 is taken\x1b[2J"})
    with playing(players):
        assert mesh("apply", file, "--grid", grid.url) == 1
        told = capsys.readouterr()
        assert "done on 2 of 3 nodes" in told.err
        assert f"{HIDDEN.identifier}: refused, port 7573 is taken" in told.err
        assert "\x1b" not in told.err + told.out
        port = next(node["port"] for node in state(file)["nodes"] if node["member"] == HIDDEN.identifier)
        grid.ask("publish_ports", HIDDEN.identifier, [port])
        players.refusals.clear()
        assert mesh("apply", file) == 0
    other = next(node["port"] for node in state(file)["nodes"] if node["member"] == HIDDEN.identifier)
    assert other != port


def test_a_node_that_does_not_answer_in_time_is_named(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing(Players(grid, silent={OTHER})):
        assert mesh("apply", file, "--grid", grid.url, "--wait", "1") == 1
        assert f"{OTHER.identifier}: waiting" in capsys.readouterr().err
        assert mesh("delete", file, "--wait", "1") == 1
        assert f"{OTHER.identifier}: removing" in capsys.readouterr().err
    assert [node["member"] for node in state(file)["nodes"]] == [OTHER.identifier]
    with playing(Players(grid)):
        assert mesh("delete", file) == 0


def test_an_answer_that_the_node_did_not_sign_does_not_count(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_request(file, (PUBLIC,))
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    (reservation,) = grid.of(PUBLIC)
    grid.ask("put_result", Result(reservation.type, reservation.id, datetime.now(UTC), ResultState.OK))
    assert mesh("apply", file, "--wait", "0") == 1
    assert "not signed" in capsys.readouterr().err


def test_hidden_nodes_alone_are_refused_and_nothing_is_sent(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_request(file, (HIDDEN, OTHER))
    assert mesh("apply", file, "--grid", grid.url) == 1
    assert f"cannot connect node {HIDDEN.identifier} (hidden, sends over IPv4)" in capsys.readouterr().err
    assert grid.of(HIDDEN) == ()


def test_a_node_that_the_grid_does_not_know_is_named(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = Identity.from_seed(b"\x09" * 32)
    write_request(file, (PUBLIC, stranger))
    assert mesh("plan", file, "--grid", grid.url) == 1
    assert stranger.identifier in capsys.readouterr().err


def test_another_name_or_owner_over_a_network_that_exists_is_refused(
    grid: Grid, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    assert mesh("apply", file, "--identity", tmp_path / "other.seed", "--wait", "0") == 2
    assert "belongs to" in capsys.readouterr().err
    file.write_text(file.read_text().replace("office", "factory"))
    assert mesh("apply", file, "--wait", "0") == 2
    assert mesh("plan", file) == 2
    assert "remembers 'office'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "apply", "show", "delete"])
def test_a_grid_that_is_away_is_one_sentence(
    command: str, grid: Grid, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    before = state(file)
    capfd.readouterr()
    assert mesh(command, file, "--grid", "http://127.0.0.1:1") == 1
    error = capfd.readouterr().err
    assert error.startswith("zosfsm mesh: ") and error.count("\n") == 1
    assert state(file) == before


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_wrong_file_is_a_usage_error(command: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("name = 3")
    assert mesh(command, file, "--grid", "http://127.0.0.1:1") == 2
    assert f"{file}: name: expected" in capsys.readouterr().err
    file.write_bytes(b"\xff")
    assert mesh(command, file, "--grid", "http://127.0.0.1:1") == 2
    file.unlink()
    assert mesh(command, file, "--grid", "http://127.0.0.1:1") == 2


def test_no_grid_at_all_is_a_usage_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mesh("plan", file) == 2
    assert "ZOS_BCDB_URL" in capsys.readouterr().err


def test_a_broken_state_file_is_never_taken_for_an_empty_one(
    grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file.with_name("office.toml.state.json")
    path.write_text("{")
    assert mesh("apply", file, "--grid", grid.url) == 2
    assert path.read_text() == "{"
    assert "Restore it" in capsys.readouterr().err


def test_a_reservation_whose_answer_got_lost_is_found_again(grid: Grid, file: Path) -> None:
    assert mesh("apply", file, "--grid", grid.url, "--wait", "0") == 0
    path, document = file.with_name("office.toml.state.json"), state(file)
    document["nodes"][1] |= {"reservations": [], "told": "", "sending": True}
    path.write_text(json.dumps(document))
    with playing(Players(grid)):
        assert mesh("apply", file) == 0
        assert len(state(file)["nodes"][1]["reservations"]) == 2
        assert mesh("delete", file) == 0
    assert all(reservation.to_delete for node in NODES for reservation in grid.of(node))


def test_two_at_once_on_one_file_are_refused(grid: Grid, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from zosfsm.cli.mesh_memory import alone

    with alone(file):
        assert mesh("apply", file, "--grid", grid.url) == 1
    assert "another command" in capsys.readouterr().err
