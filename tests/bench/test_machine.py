"""What is said of the machine."""

from __future__ import annotations

import pytest

from bench.machine import processor_in, this_machine, version_in


def test_the_processor_is_the_first_model_that_the_kernel_names() -> None:
    assert processor_in("processor : 0\nmodel name\t: Example 3000\n\nmodel name\t: Example 4000\n") == "Example 3000"


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("ip utility, iproute2-6.1.0, libbpf 1.1.0", "6.1.0"),
        ("nftables v1.0.6 (Lester Gooch #5)", "1.0.6"),
        ("isc-dhclient-4.4.3-P1", "4.4.3"),
        ("nothing of the kind", ""),
    ],
)
def test_a_version_is_found_in_a_tools_own_words(output: str, version: str) -> None:
    assert version_in(output) == version


def test_this_machine_has_cores_a_kernel_and_a_python() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.kernel in machine.sentence
    assert f"Python {machine.python}" in machine.sentence
