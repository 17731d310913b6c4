"""`zosfsm doctor`: what this machine offers; nothing on the host is touched."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from zosfsm.cli.main import main
from zosfsm.node import examination
from zosfsm.node.scratch_kernel import tried

ALL_WORK: Mapping[str, str] = dict.fromkeys(
    [
        "network namespaces",
        "bridge",
        "veth",
        "macvlan",
        "tun",
        "nf_tables",
        "IPv6",
        "forwarding",
        "packet sockets",
        "kernel WireGuard",
    ],
    "",
)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the trials are said to have come to; a test spoils what it wants."""
    told = dict(ALL_WORK)
    monkeypatch.setattr(examination, "tried", lambda: told)
    monkeypatch.setattr(examination, "_rights", lambda: examination.Finding("rights", examination.Grade.OK, "root"))
    return told


def doctor(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by subject."""
    words = ["doctor", "--json", "--state-dir", str(directory / "state"), "--run-dir", str(directory / "run")]
    code = main(words)
    document = json.loads(capsys.readouterr().out)
    assert document["can_run"] == (code == 0)
    return code, {finding["subject"]: finding for finding in document["findings"]}


def test_a_machine_that_has_everything_can_run_a_node(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcomes
    code, findings = doctor(tmp_path, capsys)
    assert code == 0
    assert findings["WireGuard"] == {"subject": "WireGuard", "grade": "ok", "found": "the kernel's", "consequence": ""}


@pytest.mark.parametrize("subject", ["bridge", "veth", "macvlan", "nf_tables", "forwarding", "packet sockets"])
def test_what_a_node_cannot_do_without_is_missing_and_1(
    subject: str, outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes[subject] = "create it: Operation not supported"
    code, findings = doctor(tmp_path, capsys)
    assert code == 1
    assert findings[subject]["grade"] == "missing"
    assert findings[subject]["found"] == "create it: Operation not supported"
    assert findings[subject]["consequence"]


def test_without_ipv6_a_node_runs_with_less(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes["IPv6"] = "no"
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["IPv6"]["grade"]) == (0, "degraded")


def test_without_the_kernels_wireguard_the_one_in_user_space_serves(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    outcomes["kernel WireGuard"] = "Operation not supported"
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["WireGuard"]["grade"]) == (0, "degraded")


@pytest.mark.parametrize(("program", "tun"), [(None, ""), ("/usr/bin/wireguard-go", "there is no /dev/net/tun")])
def test_without_any_wireguard_no_node_runs(
    program: str | None,
    tun: str,
    outcomes: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examination.shutil, "which", lambda tool: program if tool == "wireguard-go" else tool)
    outcomes |= {"kernel WireGuard": "Operation not supported", "tun": tun}
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["WireGuard"]["grade"]) == (1, "missing")


def test_without_a_namespace_nothing_else_is_tried(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes["network namespaces"] = "unshare(2): Operation not permitted"
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["network namespaces"]["grade"]) == (1, "missing")
    assert "bridge" not in findings


def test_a_state_directory_that_is_a_file_is_missing(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcomes
    (tmp_path / "state").write_text("")
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["state directory"]["grade"]) == (1, "missing")


def test_it_makes_no_directory(outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcomes
    doctor(tmp_path, capsys)
    assert list(tmp_path.iterdir()) == []


def test_tools_of_the_lab_are_not_needed_by_a_node(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcomes
    monkeypatch.setattr(examination.shutil, "which", lambda _tool: None)
    code, findings = doctor(tmp_path, capsys)
    assert (code, findings["dnsmasq"]["grade"]) == (0, "degraded")


def test_the_table_ends_with_the_verdict(
    outcomes: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes["bridge"] = "no"
    assert main(["doctor", "--state-dir", str(tmp_path), "--run-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "a node cannot run here: see what is missing"


@pytest.mark.kernel
def test_the_trials_leave_nothing_on_the_host() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = _host()
    outcomes = tried()
    assert set(outcomes) == set(ALL_WORK)
    assert outcomes["network namespaces"] == outcomes["bridge"] == outcomes["packet sockets"] == ""
    assert _host() == before


def _host() -> tuple[object, ...]:
    """Links (without their counters), addresses, forwarding and our table, as other tools see them."""
    words = (["ip", "-brief", "link"], ["ip", "-brief", "address"], ["nft", "list", "tables"])
    texts = [subprocess.run(word, capture_output=True, text=True, check=True).stdout for word in words]
    # Other tests make links in the host's namespace for a moment; the trials' own would be called scratch.
    mine = [line for text in texts for line in text.splitlines() if "scratch" in line or "zosfsm" in line]
    forwarding = [Path(f"/proc/sys/net/{name}").read_text() for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]
    return (*mine, *forwarding)
