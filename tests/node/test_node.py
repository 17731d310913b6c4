"""A whole node on a wire: how it comes up, goes on after whatever happens, and leaves."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.node.wire import GRID_URL, Wire, finished, own
from tests.waiting import until

pytestmark = [pytest.mark.kernel]

HANGING = """
import sys, time
import zosfsm.node.uplink_edge as edge
from zosfsm.cli.main import main
edge.listed_nics = lambda *_: time.sleep(3600)
sys.exit(main(["run", *sys.argv[1:]]))
"""

FAULTY_EDGE = """
import sys
import zosfsm.node.uplink_edge as edge
from zosfsm.cli.main import main
listed_nics, times = edge.listed_nics, []
def faulty(*arguments):
    times.append(1)
    if len(times) == 1:
        raise RuntimeError("a fault of ours")
    return listed_nics(*arguments)
edge.listed_nics = faulty
sys.exit(main(["run", *sys.argv[1:]]))
"""

FAULTY_MACHINE = """
import sys
from zosfsm.lifecycles.registration import Registration
from zosfsm.cli.main import main
def remember_connection(self, context, event):
    raise RuntimeError("a fault of ours")
remember_connection.__role__ = "action"
Registration.remember_connection = remember_connection
sys.exit(main(["run", *sys.argv[1:]]))
"""


def leftovers(wire: Wire) -> str:
    """Links, namespaces and rules of ours on the machine."""
    links = wire.machine.shell("ip -o link show | grep -E ': (zos|br-ndmz|to-ndmz|[blw]-)' || true")
    return links + wire.machine.shell("ip netns list; nft list tables")


def flags(wire: Wire, nic: str) -> list[str]:
    found = wire.machine.shell(f"ip -o link show {nic}")
    return found[found.index("<") + 1 : found.index(">")].split(",")


def clean(wire: Wire, nic: str) -> bool:
    """Whether the NIC, with a cable, has neither an address nor a route."""
    found = wire.machine.shell(f"ip -o address show dev {nic}; ip route show dev {nic}; ip -6 route show dev {nic}")
    return found == "" and "master" not in wire.machine.shell(f"ip -o link show {nic}")


def on_trial(wire: Wire) -> str:
    """The IPv4 addresses on NICs."""
    return wire.machine.shell("ip -4 -o address show | grep ': eth' || true")


def test_a_node_gets_online_and_registers_and_leaves_its_network_up_when_it_is_told_to_stop(wire: Wire) -> None:
    wire.start_node()
    wire.until_registered()
    address = wire.address()
    assert address.startswith("203.0.113.")
    assert "nameserver 203.0.113.1\n" in (wire.run_directory / "resolv.conf").read_text()
    assert "table inet zosfsm" in wire.machine.shell("nft list tables")
    assert wire.stop_node(signal.SIGTERM) == 0
    assert wire.address() == address
    assert "203.0.113.1" in wire.machine.shell("ip route show default dev zos")
    assert "stopped" in wire.warnings()
    assert not wire.status()["online"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_node_that_is_started_again_takes_up_its_uplink_and_asks_for_its_address_only(
    wire: Wire, number: signal.Signals
) -> None:
    wire.start_node()
    wire.until_registered()
    address = wire.address()
    discovers, requests = wire.dhcp_log("DHCPDISCOVER"), wire.dhcp_log("DHCPREQUEST")
    wire.stop_node(number)
    beginning = len(wire.path("connectivity"))
    wire.start_node()
    until(lambda: wire.dhcp_log("DHCPREQUEST") > requests, wire.explained)
    wire.until_state("lease:eth1", "bound")
    wire.until_registered()
    assert wire.path("connectivity")[beginning:][:3] == ["adopting", "checking", "online"]
    assert wire.address() == address
    assert wire.dhcp_log("DHCPDISCOVER") == discovers
    wire.stop_node()


def test_teardown_leaves_nothing_and_gives_the_nic_back_switched_off_as_it_was(wire: Wire) -> None:
    before = wire.machine.shell("ip -o link show | cut -d' ' -f2-5")
    wire.start_node()
    wire.until_registered()
    assert wire.stop_node() == 0
    code, said = wire.tear_down()
    assert code == 0, said
    assert leftovers(wire) == ""
    assert wire.machine.shell("ip -o link show | cut -d' ' -f2-5") == before
    assert wire.machine.shell("ip route show") == ""
    assert not (wire.run_directory / "resolv.conf").exists()


def test_teardown_stops_a_node_that_runs(wire: Wire) -> None:
    wire.start_node()
    wire.until_registered()
    code, said = wire.tear_down()
    assert code == 0, said
    assert not wire.node_runs()
    assert leftovers(wire) == ""


def test_teardown_of_a_machine_on_which_no_node_ever_ran_succeeds(bare_wire: Wire) -> None:
    code, said = bare_wire.tear_down()
    assert code == 0, said
    assert leftovers(bare_wire) == ""


def test_a_node_that_tears_down_at_its_end_gives_its_address_back_first(wire: Wire) -> None:
    wire.start_node("--teardown-on-exit")
    wire.until_registered()
    assert wire.stop_node() == 0
    assert leftovers(wire) == ""
    until(lambda: wire.dhcp_log("DHCPRELEASE") > 0, wire.explained)


def test_a_cable_that_is_pulled_and_plugged_in_again_is_noticed_and_taken_up(wire: Wire) -> None:
    wire.start_node()
    wire.until_registered()
    wire.pull_cable()
    until(lambda: wire.state("connectivity") not in ("online", ""), wire.explained)
    wire.plug_cable()
    wire.until_registered()
    assert wire.address()
    wire.stop_node()


def test_a_grid_that_is_away_at_the_start_is_found_once_it_is_back(bare_wire: Wire) -> None:
    bare_wire.start_dhcp()
    bare_wire.start_node()
    bare_wire.until_state("connectivity", "degraded")
    assert "no-internet" in bare_wire.warnings()
    bare_wire.start_grid()
    bare_wire.until_registered()
    bare_wire.stop_node()


def test_a_dhcp_server_that_is_away_at_the_start_is_found_once_it_is_back(bare_wire: Wire) -> None:
    bare_wire.start_grid()
    bare_wire.start_node()
    bare_wire.until_state("connectivity", "waiting")
    bare_wire.start_dhcp()
    bare_wire.until_registered()
    bare_wire.stop_node()


def test_a_nic_that_is_plugged_in_is_switched_on_and_one_that_is_taken_out_is_absent(wire: Wire) -> None:
    wire.start_node()
    wire.until_registered()
    wire.machine.shell(f"ip link add eth5 type veth peer name other5 netns {wire.internet.pid}")
    wire.until_state("interface:eth5", "no_carrier")
    wire.internet.shell("ip link set other5 up")
    wire.until_state("interface:eth5", "carrier")
    wire.machine.shell("ip link del eth5")
    wire.until_state("interface:eth5", "absent")
    assert wire.state("connectivity") == "online"
    wire.stop_node()


def test_a_nic_that_was_plugged_in_is_given_back_switched_off_by_a_later_teardown(wire: Wire) -> None:
    wire.start_node()
    wire.until_registered()
    wire.machine.shell(f"ip link add eth5 type veth peer name other5 netns {wire.internet.pid}")
    wire.until_state("interface:eth5", "no_carrier")
    assert wire.stop_node() == 0
    assert "UP" in flags(wire, "eth5")
    code, said = wire.tear_down()
    assert code == 0, said
    assert "UP" not in flags(wire, "eth5")


def test_one_good_nic_among_dead_ones_carries_the_node_and_the_others_are_left_clean(wire: Wire) -> None:
    for number in (2, 3, 4):
        wire.lay_cable(number)
    wire.start_node()
    wire.until_registered()
    assert wire.carrier_of_the_node() == "eth1"
    for number in (2, 3, 4):
        wire.until_state(f"interface:eth{number}", "carrier")
        assert clean(wire, f"eth{number}")
    # None of them was waited for: their silence is known only after seconds.
    assert all("no_address" not in wire.path(f"path:eth{number}/ipv4") for number in (2, 3, 4))
    assert wire.stop_node() == 0


def test_of_two_good_nics_the_first_is_taken_and_the_other_takes_over_when_its_cable_is_pulled(wire: Wire) -> None:
    wire.lay_cable(2)
    wire.start_dhcp(2)
    wire.start_node()
    wire.until_registered()
    assert wire.carrier_of_the_node() == "eth1"
    wire.until_state("interface:eth2", "carrier")
    assert clean(wire, "eth2")
    discovers = wire.dhcp_log("DHCPDISCOVER")
    wire.pull_cable()
    until(lambda: wire.carrier_of_the_node() == "eth2", wire.explained)
    wire.until_registered()
    assert wire.address().startswith("203.0.114.")
    assert "203.0.114.1" in wire.machine.shell("ip route show default")
    assert wire.path("connectivity")[-5:] == ["degraded", "detaching", "attaching", "checking", "online"]
    assert clean(wire, "eth1")
    wire.plug_cable()
    wire.until_state("interface:eth1", "carrier")
    assert wire.carrier_of_the_node() == "eth2", "it went back without a quiet time"
    assert wire.dhcp_log("DHCPDISCOVER") == discovers
    assert wire.stop_node() == 0


def test_an_excluded_nic_is_not_touched_and_the_next_one_carries_the_node(wire: Wire) -> None:
    wire.lay_cable(2)
    wire.start_dhcp(2)
    look = "ip -o link show eth1 | cut -d' ' -f2-5; ip address show dev eth1; sysctl net.ipv6.conf | grep eth1"
    wire.machine.shell("sysctl -q -w net.ipv6.conf.eth1.accept_ra=0 net.ipv6.conf.eth1.disable_ipv6=1")
    before = wire.machine.shell(look)
    wire.start_node("--cmdline", f"farmer_id=1 runmode=dev bcdb={GRID_URL} nic:exclude=eth1")
    wire.until_registered()
    assert wire.carrier_of_the_node() == "eth2"
    assert wire.state("interface:eth1") == "excluded"
    assert wire.machine.shell(look) == before
    assert wire.stop_node() == 0
    # It is told nothing of the node's command line.
    code, said = wire.tear_down()
    assert code == 0, said
    assert wire.machine.shell(look) == before


def test_a_node_that_is_killed_while_it_tries_a_nic_leaves_nothing_there_for_the_next_life(bare_wire: Wire) -> None:
    bare_wire.start_dhcp()
    bare_wire.lay_cable(2)
    bare_wire.start_dhcp(2)
    bare_wire.start_node()
    until(lambda: "203.0." in on_trial(bare_wire), bare_wire.explained)
    bare_wire.stop_node(signal.SIGKILL)
    bare_wire.pull_cable(1)
    bare_wire.pull_cable(2)
    bare_wire.start_node()
    until(lambda: on_trial(bare_wire) == "", bare_wire.explained)
    assert bare_wire.stop_node() == 0


def test_a_full_disk_is_told_and_waited_for_and_nothing_is_done_that_is_not_journaled(wire: Wire) -> None:
    wire.state_directory.mkdir()
    wire.machine.shell(f"mount -t tmpfs -o size=2m tmpfs {wire.state_directory}")
    wire.start_node()
    wire.until_registered()
    address = wire.address()
    wire.machine.shell(f"dd if=/dev/zero of={wire.state_directory}/full bs=4k 2>/dev/null || true")
    wire.pull_cable()
    until(lambda: "store-unwritable" in wire.warnings(), wire.explained)
    assert wire.address() == address, "the uplink was left before that was journaled"
    wire.machine.shell(f"rm {wire.state_directory}/full")
    until(lambda: "store-unwritable" not in wire.warnings(), wire.explained)
    wire.plug_cable()
    wire.until_registered()
    assert wire.stop_node() == 0


def test_a_kernel_that_never_answers_does_not_keep_the_node_from_stopping(bare_wire: Wire, tmp_path: Path) -> None:
    program = tmp_path / "hanging.py"
    program.write_text(HANGING)
    bare_wire.start_node(words=[sys.executable, str(program)])
    bare_wire.until_state("connectivity", "listing")
    assert bare_wire.stop_node() == 0
    assert bare_wire.warnings() >= {"stopped"}


def test_a_fault_in_an_edge_is_told_to_the_machine_and_to_the_operator_and_got_over(wire: Wire, tmp_path: Path) -> None:
    program = tmp_path / "faulty.py"
    program.write_text(FAULTY_EDGE)
    wire.start_node(words=[sys.executable, str(program)])
    wire.until_registered()
    assert wire.path("connectivity")[:2] == ["listing", "waiting"]
    assert "program-fault" in wire.warnings()
    assert wire.stop_node() == 0


def test_a_fault_in_one_machine_is_told_and_all_others_go_on(wire: Wire, tmp_path: Path) -> None:
    program = tmp_path / "faulty.py"
    program.write_text(FAULTY_MACHINE)
    wire.start_node(words=[sys.executable, str(program)])
    wire.until_state("dmz", "ready")
    assert (wire.state("connectivity"), wire.state("registration")) == ("online", "identified")
    assert "program-fault" in wire.warnings()
    assert wire.stop_node() == 0


def test_a_second_node_with_the_same_run_directory_is_refused_with_the_first_ones_process(bare_wire: Wire) -> None:
    bare_wire.start_node()
    until(bare_wire.status, bare_wire.explained)
    words = [*own("run"), *bare_wire.directories(), "--cmdline", ""]
    code, said = bare_wire.machine.run(finished, words)
    assert code == 1
    assert "expected no node to run here, found process" in said
    assert bare_wire.stop_node() == 0
