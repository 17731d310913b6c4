"""A part of pyroute2 comes without the others, and whoever wants the whole gets it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _run(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_edge_to_the_kernel_is_loaded_without_pyroute2() -> None:
    _run("import sys, zosfsm.kernel.links, zosfsm.kernel.monitor; sys.exit('pyroute2.netlink' in sys.modules)")


def test_a_part_is_loaded_without_the_whole() -> None:
    _run("import sys, zosfsm.kernel, pyroute2.iproute.linux; sys.exit('pyroute2.ndb' in sys.modules)")


@pytest.mark.parametrize(
    "statement",
    [
        "from pyroute2 import NDB, IPRoute, netns",
        "import pyroute2; pyroute2.WireGuard, pyroute2.__version__",
        "from pyroute2.iproute.linux import IPRoute as part; from pyroute2 import IPRoute; assert IPRoute is part",
    ],
)
def test_who_asks_the_package_itself_gets_all_of_it(statement: str) -> None:
    _run(f"import zosfsm.kernel; {statement}")


def test_what_the_package_does_not_have_is_missing_as_usual() -> None:
    _run(
        "import zosfsm.kernel, pyroute2\ntry:\n    pyroute2.coffee\nexcept AttributeError:\n    pass\n"
        "else:\n    raise SystemExit('found')"
    )
