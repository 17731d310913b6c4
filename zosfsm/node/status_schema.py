"""The published JSON Schema of the status document: `zosfsm status --schema`. Data only.

https://json-schema.org/draft/2020-12/schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zosfsm.lifecycles.path_data import PathStanding
from zosfsm.node.status_entries import SCHEMA_VERSION
from zosfsm.node.warning_codes import CODES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_MAC: Schema = {"type": ["string", "null"], "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"}
_ADDRESS: Schema = {"type": "string", "format": "ipv4"}
_ADDRESS_6: Schema = {"type": "string", "format": "ipv6"}
_PREFIXED_6: Schema = {"type": "string", "pattern": r"^[0-9a-f:.]+/\d{1,3}$"}
_PREFIXED: Schema = {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(description: str, properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _perhaps(definition: str, description: str) -> Schema:
    return {"oneOf": [{"type": "null"}, {"$ref": f"#/$defs/{definition}"}], "description": description}


def _told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


_MACHINE = _object(
    "One state machine; states/NAME.toml says what its states mean.",
    {
        "state": _TEXT,
        "kind": {
            "enum": ["stable", "transient", "failure", "final"],
            "description": "stable: may stay for ever; transient: time ends it at the latest; failure: somebody should "
            "look; final: nothing follows",
        },
        "since": _told(_MOMENT, "when it entered this state"),
        "event": _told(_TEXT, "the last trigger that it followed; empty before the first"),
        "attempt": _told(_COUNT, "how often it has backed off in a row"),
        "deadline": _told(_or_null(_MOMENT), "when time alone does something next"),
        "reason": _told(_TEXT, "why it is in this state"),
    },
)


def _family(name: str, address: Schema, prefixed: Schema) -> Schema:
    return _object(
        f"{name} on a NIC: the machine path:NIC/{name.lower()}.",
        {
            "state": _TEXT,
            "standing": {
                "enum": [standing.value for standing in PathStanding],
                "description": "how far it is known to lead; gateway: the grid is being asked through it for the first "
                "time; limited: its gateway answers, and the grid does not; proven: the grid answered when asked last",
            },
            "address": _or_null(prefixed),
            "gateway": _or_null(address),
            "gateway_mac": _told(_MAC, "from which the gateway answered"),
            "name_servers": {"type": "array", "items": address},
            "reason": _TEXT,
            "fault": _told(_TEXT, "why it does not lead to the grid, until it is proven; empty where it does or may"),
        },
    )


_INTERFACE = _object(
    "A NIC.",
    {
        "name": _TEXT,
        "mac": _MAC,
        "state": _TEXT,
        "carrier": {"type": "boolean"},
        "reason": _TEXT,
        "ipv4": _perhaps("ipv4", "null: it is not being tried"),
        "ipv6": _perhaps("ipv6", "null: it is not being tried"),
    },
)

_LEASE = _object(
    "The uplink's IPv4 address.",
    {
        "address": _PREFIXED,
        "gateway": _or_null(_ADDRESS),
        "server": _told(_or_null(_ADDRESS), "the DHCP server; null: the address was given by hand"),
        "name_servers": {"type": "array", "items": _ADDRESS},
        "lease_expiry": _told(_or_null(_MOMENT), "null: the lease is for ever"),
    },
)

_ROUTER = _object(
    "The uplink's IPv6 addresses, and the router that advertises them.",
    {
        "addresses": {"type": "array", "items": _PREFIXED_6},
        "gateway": _ADDRESS_6,
        "name_servers": {"type": "array", "items": _ADDRESS_6},
        "router_expiry": _told(_or_null(_MOMENT), "when it is no gateway any more unless it advertises itself again"),
    },
)

_UPLINK = _object(
    "The NIC that carries the node; null while there is none.",
    {
        "bridge": _TEXT,
        "link": _TEXT,
        "mac": _TEXT,
        "vlan": {"type": ["integer", "null"], "minimum": 1, "maximum": 4094, "description": "null: untagged"},
        "ipv4": _perhaps("lease", "null: there is no IPv4 address"),
        "ipv6": _perhaps("router", "null: there is no IPv6 router"),
        "first_choice": _told(_TEXT_OR_NULL, "the NIC to which the node goes back when it can"),
        "since": _told(_or_null(_MOMENT), "when the node changed over to this NIC; null: it never changed"),
    },
)

_PEER = _object(
    "A peer of a network resource, as it was when it was looked at last.",
    {
        "public_key": _TEXT,
        "routes": {"type": "array", "items": _TEXT, "description": "the networks behind it"},
        "via": _told(
            _TEXT_OR_NULL, "the public key of its fallback, to which its routes go; null: they go to the peer itself"
        ),
        "endpoint": _told(
            _TEXT_OR_NULL, "where it called from last, or else is called; null: it is the one that calls"
        ),
        "alive": {"type": "boolean", "description": "it has shaken hands within the last 180 s"},
        "last_handshake": _or_null(_MOMENT),
        "received_bytes": _COUNT,
        "sent_bytes": _COUNT,
    },
)

_WORKLOAD = _object(
    "What is in a network resource: a container, or a virtual machine's tap.",
    {
        "name": _told(_TEXT_OR_NULL, "null: the tap"),
        "state": _TEXT,
        "addresses": {"type": "array", "items": _TEXT, "description": "with their prefix lengths; empty: none yet"},
        "since": _MOMENT,
        "reason": _TEXT,
    },
)

_RESOURCE = _object(
    "A network resource. What its reservation says is null where an orphan is being removed.",
    {
        "id": _TEXT,
        "name": _TEXT_OR_NULL,
        "user": _TEXT_OR_NULL,
        "reservation": _TEXT_OR_NULL,
        "state": _TEXT,
        "subnet": _or_null(_PREFIXED),
        "range": _told(_or_null(_PREFIXED), "of the whole network"),
        "port": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535, "description": "WireGuard's, UDP"},
        "dmz_address": _or_null(_ADDRESS),
        "since": _told(_MOMENT, "when it came into its state"),
        "built": _told(_or_null(_MOMENT), "when it was first up; null: it never was"),
        "expiry": _or_null(_MOMENT),
        "seen": _told(_or_null(_MOMENT), "when the peers were looked at last"),
        "peers": {"type": "array", "items": {"$ref": "#/$defs/peer"}},
        "reason": _TEXT,
        "workloads": {"type": "array", "items": {"$ref": "#/$defs/workload"}},
    },
)

_CENSUS = _object(
    "The last census of what is the node's in the kernel.",
    {
        "at": _MOMENT,
        "orphans": {
            "type": "object",
            "description": "how many of each kind nobody wanted, since the process started: namespace, link, ...",
            "additionalProperties": _COUNT,
        },
        "fault": _told(_TEXT, "why it is not complete; empty where it is"),
    },
)

_WARNING = _object(
    "Something an operator should look at.",
    {
        "code": {
            "enum": list(CODES),
            "description": " ".join(f"{known.code}: {known.meaning}" for known in CODES.values()),
        },
        "sentence": _TEXT,
        "machine": _told(_TEXT_OR_NULL, "null: it concerns the node as a whole"),
        "since": _or_null(_MOMENT),
    },
)

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "zosfsm status",
    **_object(
        "What a node is doing: /run/zosfsm/status.json, replaced at each change. Times are RFC 3339 in UTC.",
        {
            "schema": {"const": SCHEMA_VERSION},
            "node_id": _told(_TEXT_OR_NULL, "null until the identity is read"),
            "farm_id": _told(_COUNT, "0: the node belongs to no farm"),
            "online": _told({"type": "boolean"}, "the grid answers through the uplink"),
            "boot_seconds": {
                "type": ["number", "null"],
                "minimum": 0,
                "description": "from the start of the process to the first time online; null before",
            },
            "updated": _MOMENT,
            "machines": {
                "type": "object",
                "description": "by full name: connectivity, interface:eth0, path:eth0/ipv6, resource:ID, ...",
                "additionalProperties": {"$ref": "#/$defs/machine"},
            },
            "interfaces": {"type": "array", "items": {"$ref": "#/$defs/interface"}},
            "uplink": _perhaps("uplink", "null: no NIC carries the node"),
            "resources": {"type": "array", "items": {"$ref": "#/$defs/resource"}},
            "warnings": {"type": "array", "items": {"$ref": "#/$defs/warning"}},
            "census": _perhaps("census", "null: it has not been taken yet"),
        },
    ),
    "$defs": {
        "machine": _MACHINE,
        "interface": _INTERFACE,
        "ipv4": _family("IPv4", _ADDRESS, _PREFIXED),
        "ipv6": _family("IPv6", _ADDRESS_6, _PREFIXED_6),
        "uplink": _UPLINK,
        "lease": _LEASE,
        "router": _ROUTER,
        "resource": _RESOURCE,
        "peer": _PEER,
        "workload": _WORKLOAD,
        "warning": _WARNING,
        "census": _CENSUS,
    },
}
