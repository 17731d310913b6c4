"""What a demo found: the document for machines, the summary for people, and the sentences about what is false."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, frozen

from zosfsm.lab.leaks import Leaks

SCHEMA = 1


@frozen
class NodeResult:
    """One node as it was when the mesh was up."""

    name: str
    role: str
    boot_seconds: float | None
    machines: dict[str, str]


@define
class DemoReport:
    """Filled while the demo goes on; `faults` are sentences about what was found false."""

    nodes: list[NodeResult] = Factory(list)
    pairs: int = 0
    reachable: int = 0
    plaintext_packets: int = 0
    outgoing: int = 0
    incoming_blocked: int = 0
    leaks: Leaks = Factory(Leaks)
    seconds: float = 0.0
    faults: list[str] = Factory(list)

    def as_document(self) -> dict[str, Any]:
        """The one document of `zosfsm lab demo --json`."""
        return {
            "schema": SCHEMA,
            "nodes": [
                {"name": node.name, "role": node.role, "boot_seconds": node.boot_seconds, "machines": node.machines}
                for node in self.nodes
            ],
            "mesh": {
                "pairs": self.pairs,
                "reachable": self.reachable,
                "plaintext_packets": self.plaintext_packets,
            },
            "internet": {"outgoing": self.outgoing, "incoming_blocked": self.incoming_blocked},
            "leaks": {
                "namespaces": self.leaks.namespaces,
                "links": self.leaks.links,
                "processes": self.leaks.processes,
                "ports": self.leaks.ports,
            },
            "seconds": round(self.seconds, 2),
        }

    def as_lines(self) -> list[str]:
        """The summary for people."""
        nodes = len(self.nodes)
        boots = ", ".join(f"{node.name} {_seconds(node.boot_seconds)}" for node in self.nodes) or "none"
        leaks = self.leaks
        return [
            f"booted    {boots}",
            f"mesh      {self.reachable} of {self.pairs} pairs reach each other, "
            f"{self.plaintext_packets} readable packets on the underlay",
            f"internet  reached from {self.outgoing} of {nodes} workloads, "
            f"kept out of {self.incoming_blocked} of {nodes} nodes",
            f"left      {leaks.namespaces} namespaces, {leaks.links} links, "
            f"{leaks.processes} processes, {leaks.ports} ports",
            f"took      {self.seconds:.1f} s",
        ]


def _seconds(value: float | None) -> str:
    return "never online" if value is None else f"online after {value:.2f} s"
