"""From exec to online: the node beside other DHCP clients on one wire, taking turns."""

from __future__ import annotations

from collections import defaultdict

from bench.clients import PEERS, ZOSFSM, Client
from bench.cold_start import STAGES, ClientFailed, cold_start
from bench.floor import bare_exchange
from bench.options import Options
from bench.table import Row, Table
from bench.wire import Wire, wire

RUNS = 10

_ONLINE = "status.json says online"
_CONFIGURED = "address and default route"
_EXCHANGE = ("bare exchange: ACK received", f"bare exchange: {_CONFIGURED}")

NOTES = (
    "zosfsm run: cold start with an empty state directory on disk; NIC switched on, lease, RFC 5227 address check, "
    "gateway proven by ARP, bridge zos with the NIC in it, answer of the grid through the gateway; each "
    "transition is synced to the disk before its effects begin, and status.json is written.",
    "The others: NIC switched on, lease, address, default route. None proves the gateway or the internet, none makes a "
    "bridge, and only dhcpcd checks that the address is free, with RFC 5227's own waits. udhcpc and dhclient run a "
    "script of one `ip` command a step, shorter than their own; dhcpcd runs none.",
    "All start with the NIC off and without an earlier lease, from exec on; netlink tells when address and default "
    "route are there, and the status file is looked at every millisecond. The DHCP server does not ping. One start of "
    "each beforehand is not counted: it fills the disk's cache and compiles Python's byte code, as an installed node "
    "has it.",
    "Bare exchange: DISCOVER, OFFER, REQUEST, ACK by our own packets in a process that runs already, and no check at "
    "all: the floor for any client in Python.",
)

Samples = dict[str, list[float]]


def measure(options: Options) -> Table:
    """Starts every client in turn, as often as asked or as the time allows; one that cannot run here is left out."""
    samples: Samples = defaultdict(list)
    absent: dict[Client, str] = {}
    with wire(options.directory) as laid:
        _node(laid, defaultdict(list))
        for peer in PEERS:
            _peer(peer, laid, defaultdict(list), absent)
        for number in options.rounds(RUNS):
            _node(laid, samples)
            for peer in PEERS:
                if peer not in absent and number < peer.most_runs:
                    _peer(peer, laid, samples, absent)
            _one_exchange(laid, samples)
    peers = [f"{peer.name}: {_CONFIGURED}" for peer in PEERS if peer not in absent]
    labels = [f"{ZOSFSM.name}: {_ONLINE}", *STAGES.values(), f"{ZOSFSM.name}: {_CONFIGURED}", *peers, *_EXCHANGE]
    rows = tuple(Row(label, "ms", tuple(samples[label])) for label in labels)
    missing = tuple(f"{peer.name} was not measured: it {reason}" for peer, reason in absent.items())
    return Table("boot", "From exec to online", rows, (*NOTES, *missing))


def _node(laid: Wire, samples: Samples) -> None:
    found = cold_start(ZOSFSM, laid)
    assert found.online is not None
    samples[f"{ZOSFSM.name}: {_ONLINE}"].append(found.online)
    samples[f"{ZOSFSM.name}: {_CONFIGURED}"].append(found.configured)
    for label, milliseconds in found.stages.items():
        samples[label].append(milliseconds)


def _peer(peer: Client, laid: Wire, samples: Samples, absent: dict[Client, str]) -> None:
    try:
        samples[f"{peer.name}: {_CONFIGURED}"].append(cold_start(peer, laid).configured)
    except ClientFailed as failure:
        absent[peer] = str(failure)


def _one_exchange(laid: Wire, samples: Samples) -> None:
    laid.reset()
    for label, milliseconds in zip(_EXCHANGE, bare_exchange(), strict=True):
        samples[label].append(milliseconds)
