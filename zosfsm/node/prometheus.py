"""The node's figures in Prometheus' text format, for node_exporter's textfile collector. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/: one HELP and TYPE a metric, its samples together, and a
line feed at the very end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from attrs import field, frozen

Labels = tuple[tuple[str, str], ...]


@frozen
class NetworkFigures:
    """The peers of one network resource together, as they were seen last."""

    peers: int
    alive: int
    last_handshake: datetime | None
    received_bytes: int
    sent_bytes: int


@frozen
class Figures:
    """What is exposed; None where it is not known (yet).

    `states` and `lease_expiries` are by machine, `proven` by NIC and family, `resources` by state, `warnings` by code,
    `networks` by network resource, `orphans` by kind.
    """

    states: Mapping[str, str]
    online: bool
    boot_seconds: float | None
    transitions: int | None
    proven: Mapping[tuple[str, str], bool] = field(factory=dict)
    resources: Mapping[str, int] = field(factory=dict)
    lease_expiries: Mapping[str, datetime] = field(factory=dict)
    warnings: Mapping[str, int] = field(factory=dict)
    networks: Mapping[str, NetworkFigures] = field(factory=dict)
    census: datetime | None = None
    orphans: Mapping[str, int] = field(factory=dict)


def exposition(figures: Figures) -> str:
    """The whole file."""
    lines: list[str] = []
    lines += _metric(
        "zosfsm_machine_state",
        "gauge",
        "1 for the state that a machine is in.",
        (((("machine", name), ("state", state)), 1) for name, state in figures.states.items()),
    )
    lines += _metric("zosfsm_online", "gauge", "1 while the grid answers.", [((), int(figures.online))])
    lines += _metric(
        "zosfsm_path_proven",
        "gauge",
        "1 while the grid answers through this NIC with this family of addresses.",
        (
            ((("interface", nic), ("family", family)), int(is_proven))
            for (nic, family), is_proven in figures.proven.items()
        ),
    )
    if figures.boot_seconds is not None:
        lines += _metric(
            "zosfsm_boot_seconds",
            "gauge",
            "From the start of the process to the first time online.",
            [((), figures.boot_seconds)],
        )
    if figures.transitions is not None:
        lines += _metric(
            "zosfsm_transitions_total",
            "counter",
            "Transitions of all machines since the process started.",
            [((), figures.transitions)],
        )
    lines += _metric(
        "zosfsm_resources",
        "gauge",
        "Network resources by state.",
        (((("state", state),), count) for state, count in figures.resources.items()),
    )
    lines += _metric(
        "zosfsm_lease_expiry_timestamp_seconds",
        "gauge",
        "When a DHCP lease ends unless it is renewed, in seconds since 1970.",
        (((("machine", name),), at.timestamp()) for name, at in figures.lease_expiries.items()),
    )
    lines += _metric(
        "zosfsm_warnings",
        "gauge",
        "Warnings by code.",
        (((("code", code),), count) for code, count in figures.warnings.items()),
    )
    lines += _of_networks(figures.networks)
    if figures.census is not None:
        lines += _metric(
            "zosfsm_census_timestamp_seconds",
            "gauge",
            "When the kernel was last looked at for what nobody wants, in seconds since 1970.",
            [((), figures.census.timestamp())],
        )
    lines += _metric(
        "zosfsm_orphans_total",
        "counter",
        "What nobody wanted of the node's own in the kernel, since the process started, by kind.",
        (((("kind", kind),), count) for kind, count in figures.orphans.items()),
    )
    return "\n".join(lines) + "\n"


def _of_networks(networks: Mapping[str, NetworkFigures]) -> list[str]:
    lines: list[str] = []
    for name, text, value in _NETWORK_GAUGES:
        samples = (((("resource", key),), value(figures)) for key, figures in networks.items())
        lines += _metric(name, "gauge", text, ((labels, number) for labels, number in samples if number is not None))
    return lines


_NETWORK_GAUGES: tuple[tuple[str, str, Callable[[NetworkFigures], float | None]], ...] = (
    ("zosfsm_resource_peers", "WireGuard peers of a network resource.", lambda each: each.peers),
    ("zosfsm_resource_peers_alive", "Those that have shaken hands within the last 180 s.", lambda each: each.alive),
    (
        "zosfsm_resource_last_handshake_timestamp_seconds",
        "The latest handshake with any peer, in seconds since 1970.",
        lambda each: each.last_handshake.timestamp() if each.last_handshake else None,
    ),
    ("zosfsm_resource_received_bytes", "From all peers since the tunnel was made.", lambda each: each.received_bytes),
    ("zosfsm_resource_sent_bytes", "To all peers since the tunnel was made.", lambda each: each.sent_bytes),
)


def _metric(name: str, kind: str, text: str, samples: Iterable[tuple[Labels, float]]) -> list[str]:
    lines = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines] if lines else []


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"
