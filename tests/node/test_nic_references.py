"""How a NIC is named by people."""

from __future__ import annotations

import pytest

from zosfsm.node.nic_references import nic_reference


@pytest.mark.parametrize(
    ("text", "nic"),
    [
        ("eth0", "eth0"),
        ("enp0s31f6", "enp0s31f6"),
        ("eth0.100", "eth0.100"),
        ("02:00:00:00:00:AA", "02:00:00:00:00:aa"),
        ("02-00-00-00-00-AA", "02:00:00:00:00:aa"),
    ],
)
def test_a_name_is_kept_and_a_mac_written_one_way(text: str, nic: str) -> None:
    assert nic_reference(text) == nic


@pytest.mark.parametrize(
    "text", ["", ".", "a/b", "a b", "a,b", "sixteen-bytes-xx", "01:00:5e:00:00:01", "02:00:00:00:00", "\x07", "\ud800"]
)
def test_what_no_nic_can_be_is_none(text: str) -> None:
    assert nic_reference(text) is None
