"""Every warning that a node can give: its code, what it means, what to do. The only place that knows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.connectivity_data import ConnectivityData, Standing
from zosfsm.lifecycles.path_data import PathData
from zosfsm.lifecycles.uplink_policy import Family


@frozen
class WarningCode:
    """`advice` follows the evidence after a semicolon; "" where there is nothing to be done by hand."""

    code: str
    meaning: str
    advice: str = ""


_ALL = (
    WarningCode("no-nic", "The machine has no NIC.", "put one in, or load its driver"),
    WarningCode("no-carrier", "No NIC has carrier.", "plug a cable into one of them"),
    WarningCode("no-uplink", "NICs have carrier, and none offers a way out.", "see the NICs' own warnings"),
    WarningCode("no-lease", "DHCP gave a NIC no usable address.", "look at the DHCP server behind it"),
    WarningCode(
        "address-conflict",
        "Somebody else uses the address that DHCP gave, or that was given by hand.",
        "find the host that has it",
    ),
    WarningCode(
        "no-router", "No router gave a NIC that has IPv6 only an address.", "look at the router's advertisements"
    ),
    WarningCode("no-route", "A NIC has an address, and nobody offers to be its gateway.", "name a router to its hosts"),
    WarningCode(
        "no-gateway",
        "A NIC has an address, and its gateway does not answer.",
        "look at the router behind it, or unplug it",
    ),
    WarningCode(
        "no-names", "The name servers do not answer, or do not know the grid's name.", "look at the name servers"
    ),
    WarningCode(
        "lying-names",
        "The name servers give addresses that are not the grid's.",
        "have the network use honest name servers",
    ),
    WarningCode(
        "captive-portal", "A portal answers in the grid's place.", "log in there, or have the node let through"
    ),
    WarningCode(
        "tls-fault",
        "Somebody answers in the grid's place and cannot prove to be it.",
        "look for a proxy that breaks TLS, or at the grid's certificate",
    ),
    WarningCode(
        "no-internet",
        "The gateway answers, and the grid does not answer through it.",
        "look at the way from the gateway to the grid",
    ),
    WarningCode("no-vlan", "The kernel cannot put the uplink on the VLAN that was asked for."),
    WarningCode("NIC-rejected", "A NIC was set aside after it had failed as the uplink."),
    WarningCode(
        "identity-unusable",
        "The node's identity can be neither read nor made.",
        "restore the identity file in the state directory",
    ),
    WarningCode("grid-refused", "The grid refused the node.", "look at what it says"),
    WarningCode("grid-unreachable", "The grid did not answer; it is asked again."),
    WarningCode("results-waiting", "Results could not be delivered to the grid; they are kept and sent again."),
    WarningCode("no-farm", "The node belongs to no farm and takes no work.", "start it with farmer_id=N"),
    WarningCode("no-grid-named", "The node was not told where the grid is.", "set ZOS_BCDB_URL or grid_url"),
    WarningCode("command-line", "The kernel command line says something that could not be used.", "correct it"),
    WarningCode("dmz-down", "Users' networks have no way to the internet; their meshes work."),
    WarningCode(
        "public-refused",
        "The farmer's last configuration of the public interface was refused; if there was one before, it stays.",
        "configure it anew with `zosfsm node public`",
    ),
    WarningCode("public-damaged", "The public interface is not as configured; the repair is tried again."),
    WarningCode("resource-failed", "A network resource could not be built; its user was told why."),
    WarningCode("resource-damaged", "A network resource is not as it was reserved; the repair is tried again."),
    WarningCode(
        "peer-silent",
        "A peer that a network resource calls has never shaken hands with it.",
        "look at the node there, and at the way for UDP to its endpoint",
    ),
    WarningCode("rollback-blocked", "What a failed build left is not all removed; it is tried again."),
    WarningCode("teardown-blocked", "A network resource is not all removed; it is tried again."),
    WarningCode("workload-damaged", "A workload is not as it was joined to its network; the repair is tried again."),
    WarningCode("workload-blocked", "A workload that left, or was not joined, is not all removed; it is tried again."),
    WarningCode("census-incomplete", "Not all that nobody wants in the kernel was found or removed."),
    WarningCode("program-fault", "The program has a fault; the machine stayed as it was.", "report it"),
    WarningCode(
        "stored-machine-unusable", "A machine stored by an earlier start cannot be used; it began anew.", "report it"
    ),
    WarningCode(
        "store-unwritable",
        "The journal cannot be written: the node decides nothing until it can be.",
        "free some space",
    ),
    WarningCode(
        "stopped", "The node's process has ended; its networks were left up.", "start it again with `zosfsm run`"
    ),
    WarningCode(
        "killed",
        "The node's process has ended without a word; its networks were left up.",
        "start it again with `zosfsm run`",
    ),
)

CODES: Mapping[str, WarningCode] = {known.code: known for known in _ALL}

BY_STATE: Mapping[tuple[str, str], str] = {
    ("connectivity", "waiting"): "no-uplink",
    ("connectivity", "degraded"): "no-internet",
    ("interface", "rejected"): "NIC-rejected",
    ("path", "no_address"): "no-lease",
    ("path", "no_route"): "no-route",
    ("path", "no_gateway"): "no-gateway",
    ("path", "no_names"): "no-names",
    ("path", "lying_names"): "lying-names",
    ("path", "captive_portal"): "captive-portal",
    ("path", "tls_fault"): "tls-fault",
    ("path", "no_internet"): "no-internet",
    ("path", "suspended"): "no-carrier",
    ("lease", "declining"): "address-conflict",
    ("lease", "backing_off"): "no-lease",
    ("registration", "identity_unusable"): "identity-unusable",
    ("registration", "refused"): "grid-refused",
    ("registration", "backing_off"): "grid-unreachable",
    ("polling", "backing_off"): "grid-unreachable",
    ("delivery", "backing_off"): "results-waiting",
    ("dmz", "backing_off"): "dmz-down",
    ("public", "refused"): "public-refused",
    ("public", "damaged"): "public-damaged",
    ("resource", "failed"): "resource-failed",
    ("resource", "damaged"): "resource-damaged",
    ("resource", "rollback_blocked"): "rollback-blocked",
    ("resource", "teardown_blocked"): "teardown-blocked",
    ("workload", "damaged"): "workload-damaged",
    ("workload", "undo_blocked"): "workload-blocked",
    ("workload", "leave_blocked"): "workload-blocked",
}
# Failures that are the sum of others', each of which has its own warning.
SUMS = frozenset({("interface", "limited"), ("interface", "unusable")})


def code_of(instance: Instance) -> WarningCode | None:
    """What an operator is to be warned of while this machine is in its present state."""
    code = BY_STATE.get((instance.kind, instance.state))
    if code is None:
        return None
    if code == "no-uplink" and isinstance(instance.data, ConnectivityData):
        code = _without_uplink(instance.data, instance.event)
    elif code == "no-lease":
        code = _without_address(instance)
    elif code == "NIC-rejected" and instance.event == "vlan_refused":
        code = "no-vlan"
    return CODES[code]


def is_told_by_another(instance: Instance, codes: Mapping[str, str], instances: Mapping[str, Instance]) -> bool:
    """Is there a machine that says better what this one warns of? `codes` are the warnings' by full name."""
    if instance.kind == "path":
        return _is_told_beside(instance.name.partition(":")[2], codes, instances)
    if instance.kind == "lease":
        path = f"path:{instance.name.partition(':')[2]}/{Family.IPV4.value}"
        return codes[instance.name] == "no-lease" and path in codes
    if instance.state == "degraded" and isinstance(instance.data, ConnectivityData):
        return any(f"path:{instance.data.current}/{family.value}" in codes for family in Family)
    return False


def _is_told_beside(path: str, codes: Mapping[str, str], instances: Mapping[str, Instance]) -> bool:
    nic, _, family = path.partition("/")
    if family == Family.IPV4.value:
        # The client knows who has the address.
        return codes.get(f"lease:{nic}") == "address-conflict"
    ipv4 = instances.get(f"path:{nic}/{Family.IPV4.value}")
    if ipv4 is None or ipv4.state in ("idle", "ended"):
        return False
    # Most networks have no IPv6, and a node is well without it.
    code, code_of_ipv4 = codes[f"path:{path}"], codes.get(ipv4.name)
    return code in ("no-router", "no-route") or code_of_ipv4 in (None, code)


def sentence(subject: str, evidence: str, code: WarningCode) -> str:
    """The warning in one sentence: whom it concerns, what was found, what to do."""
    found = evidence.strip().rstrip(".") or code.meaning.rstrip(".")
    told = found if not subject or found.startswith(f"{subject}:") else f"{subject}: {found}"
    return f"{told}; {code.advice}" if code.advice else told


def _without_uplink(data: ConnectivityData, event: str) -> str:
    if not data.candidates:
        # Where the kernel did not list its NICs, nobody knows that there are none.
        return "no-nic" if event == "nics_listed" else "no-uplink"
    standings = {candidate.standing for candidate in data.candidates}
    if Standing.UNPLUGGED in standings and standings <= {Standing.UNPLUGGED, Standing.EXCLUDED}:
        return "no-carrier"
    return "no-uplink"


def _without_address(instance: Instance) -> str:
    data = instance.data
    if isinstance(data, PathData) and data.family is Family.IPV6:
        return "no-router"
    return "address-conflict" if instance.event == "address_taken" else "no-lease"
