"""Every warning that a node can give: its code, what it means, what to do. The only place that knows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from zosfsm.fsm.machine import Instance
from zosfsm.lifecycles.connectivity import ConnectivityData, Standing


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
    WarningCode("address-conflict", "Somebody else uses the address that DHCP gave.", "find the host that has it"),
    WarningCode(
        "no-gateway", "A NIC has an address and no gateway that answers.", "look at the router behind it, or unplug it"
    ),
    WarningCode("NIC-rejected", "A NIC has an address and a gateway, and the grid was not reached through it."),
    WarningCode(
        "no-internet",
        "The uplink is in place, and the grid does not answer.",
        "look at the way from the gateway to the grid",
    ),
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
    WarningCode("resource-failed", "A network resource could not be built; its user was told why."),
    WarningCode("resource-damaged", "A network resource is not as it was reserved; the repair is tried again."),
    WarningCode("rollback-blocked", "What a failed build left is not all removed; it is tried again."),
    WarningCode("teardown-blocked", "A network resource is not all removed; it is tried again."),
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
    ("interface", "no_lease"): "no-lease",
    ("interface", "no_gateway"): "no-gateway",
    ("interface", "rejected"): "NIC-rejected",
    ("lease", "declining"): "address-conflict",
    ("lease", "backing_off"): "no-lease",
    ("registration", "identity_unusable"): "identity-unusable",
    ("registration", "refused"): "grid-refused",
    ("registration", "backing_off"): "grid-unreachable",
    ("polling", "backing_off"): "grid-unreachable",
    ("delivery", "backing_off"): "results-waiting",
    ("dmz", "backing_off"): "dmz-down",
    ("resource", "failed"): "resource-failed",
    ("resource", "damaged"): "resource-damaged",
    ("resource", "rollback_blocked"): "rollback-blocked",
    ("resource", "teardown_blocked"): "teardown-blocked",
}


def code_of(instance: Instance) -> WarningCode | None:
    """What an operator is to be warned of while this machine is in its present state."""
    code = BY_STATE.get((instance.kind, instance.state))
    if code is None:
        return None
    if code == "no-uplink" and isinstance(instance.data, ConnectivityData):
        code = _without_uplink(instance.data, instance.event)
    return CODES[code]


def sentence(subject: str, evidence: str, code: WarningCode) -> str:
    """The warning in one sentence: whom it concerns, what was found, what to do."""
    found = evidence.strip().rstrip(".") or code.meaning.rstrip(".")
    told = found if not subject or found.startswith(f"{subject}:") else f"{subject}: {found}"
    return f"{told}; {code.advice}" if code.advice else told


def _without_uplink(data: ConnectivityData, event: str) -> str:
    if not data.candidates:
        # Where the kernel did not list its NICs, nobody knows that there are none.
        return "no-nic" if event == "nics_listed" else "no-uplink"
    if all(candidate.standing is Standing.UNPLUGGED for candidate in data.candidates):
        return "no-carrier"
    return "no-uplink"
