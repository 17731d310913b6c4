"""`python -m bench` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import MEASUREMENTS, NETWORKS, SECONDS, SECONDS_A_NETWORK, limit_seconds, main
from bench.plans import MOST_PLANS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("networks", [1, NETWORKS, MOST_PLANS])
def test_every_measurement_has_its_time_and_all_together_fit_into_the_limit(networks: int) -> None:
    assert SECONDS.keys() == MEASUREMENTS.keys()
    together = sum(SECONDS.values()) + sum(SECONDS_A_NETWORK.values()) * networks
    assert together <= limit_seconds(networks)


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "coffee"],
        ["--runs", "0"],
        ["--runs", "many"],
        ["--networks", "0"],
        ["--networks", "1001"],
        ["--idle", "0"],
        ["--idle", "soon"],
    ],
)
def test_a_wrong_argument_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2


def test_nothing_is_measured_on_the_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--isolated", "--only", "engine", "--runs", "1"]) == 1
    assert "expected to be alone in namespaces of our own" in capsys.readouterr().err


@pytest.mark.kernel
def test_one_short_measurement_prints_its_table_and_writes_its_samples(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "engine", "--runs", "1", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bare dict" in done.stdout
    found = json.loads(file.read_text())
    assert found["machine"]["cores"] >= 1
    assert [table["name"] for table in found["tables"]] == ["engine"]
    assert all(row["runs"] == 1 for row in found["tables"][0]["rows"])


@pytest.mark.kernel
def test_all_ways_of_building_networks_make_what_the_nodes_own_check_expects() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "networks", "--networks", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no difference from their plans" in done.stdout


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "row"), [("boot", "systemd-networkd"), ("warm", "carrier to online")])
def test_a_node_is_measured_beside_others_on_one_wire(name: str, row: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", name, "--runs", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert row in done.stdout


@pytest.mark.kernel
def test_dead_nics_stand_beside_a_good_one_and_are_gone_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "dead_nics", "--runs", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "15 silent NICs beside it" in done.stdout
