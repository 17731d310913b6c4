"""A VLAN of a NIC (IEEE 802.1Q) as a link on which its frames are untagged, or in a bridge. It decides nothing.

Kernels do that in one of two ways, and this one's is found by trying. 8021q makes a link `eth0.100` of the NIC. A
bridge with VLAN filtering tags for one of its ports: either a helper bridge `eth0.100` around the NIC alone, or the
bridge that the NIC is put into.
"""

from __future__ import annotations

import errno
import re

from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.links import Attributes, Link, Links, kind_attribute, kind_of
from zosfsm.kernel.netlink import Message, message_of

LARGEST_VLAN = 4094

OURS = "zosfsm"
"""The alias of the links that are made here: what somebody else has made of that name is not removed."""

_NAME_BYTES = 15  # IFNAMSIZ of linux/if.h, less the closing NUL
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")
_USUAL_PVID = 1  # of a bridge that nobody told otherwise
_NO_PVID = 0
_UNSUPPORTED = (errno.EOPNOTSUPP,)
_AF_BRIDGE = 7  # socket.h
_NEW_LINK, _SET_LINK = 16, 19  # rtnetlink(7)
_OF_THE_BRIDGE_ITSELF = ("IFLA_BRIDGE_VLAN_FLAGS", {"value": 2})  # BRIDGE_FLAGS_SELF of linux/if_bridge.h
_UNTAGGED = ["pvid", "untagged"]
_REFUSED = (
    "the kernel has neither 8021q (CONFIG_VLAN_8021Q) nor bridges with VLAN filtering (bridge with "
    "CONFIG_BRIDGE_VLAN_FILTERING); load one of these modules, or use the NIC without a VLAN"
)
_REFUSED_IN_BRIDGE = (
    "the NIC is in a bridge already and the kernel lacks 8021q (CONFIG_VLAN_8021Q), which tags beside a bridge; "
    "load this module, or use the NIC without a VLAN"
)


def vlan_link_name(nic: Link, vlan: int) -> str:
    """`eth0.100`, or `v2.100` by the NIC's index where that would be too long for a name."""
    name = f"{nic.name}.{vlan}"
    return name if len(name.encode()) <= _NAME_BYTES else f"v{nic.index}.{vlan}"


def is_vlan_link_of(nic: Link, name: str) -> bool:
    """Is `name` what one of the NIC's VLANs would be called?"""
    number = name.removeprefix(f"{nic.name}.")
    if number == name:
        number = name.removeprefix(f"v{nic.index}.")
    return number != name and _NUMBER.fullmatch(number) is not None


class VlanLinks(Links):
    """Links, and VLANs of NICs among them. What fails raises KernelError."""

    def make_vlan(self, name: str, vlan: int) -> str:
        """A link, switched on, that carries the VLAN of the NIC `name` untagged; answers what it is called."""
        operation = f"make VLAN {vlan} of {name}{self._where()}"
        if not 1 <= vlan <= LARGEST_VLAN:
            raise KernelError(operation, f"expected a number from 1 to {LARGEST_VLAN}")
        nic = self.get(name)
        made = vlan_link_name(nic, vlan)
        if not self._is_vlan(made, nic, vlan) and not self._is_helper(made, nic):
            self.delete(made)
            if not self._add_vlan(operation, made, nic, vlan):
                if nic.master is not None:
                    # A helper would take the NIC out of the bridge that it is in.
                    raise KernelError(operation, _REFUSED_IN_BRIDGE)
                if not self._add_helper(operation, made, nic):
                    raise KernelError(operation, _REFUSED)
            self._set(made, operation, IFLA_IFALIAS=OURS)
        if self._is_helper(made, nic):
            self._tag(made, nic, vlan)
        self.set_up(name)
        self.set_up(made)
        return made

    def remove_vlan(self, name: str, vlan: int) -> None:
        """The inverse of make_vlan; success if there is none, or no such NIC."""
        nic = self.find(name)
        if nic is not None and (made := vlan_link_name(nic, vlan)) in self.made_vlans(nic):
            self.delete(made)

    def made_vlans(self, nic: Link) -> tuple[str, ...]:
        """What make_vlan has made of the NIC, now or at an earlier start."""
        return tuple(link.name for link in self.all() if link.alias == OURS and is_vlan_link_of(nic, link.name))

    def join_vlan(self, name: str, vlan: int, bridge: str) -> None:
        """Put the VLAN of the NIC into `bridge`: whatever else is in it sends and receives untagged."""
        made = self.make_vlan(name, vlan)
        if self.get(made).kind == "vlan":
            self.leave_vlans(bridge)
            self.enslave(made, bridge)
            return
        self.delete(made)
        operation = f"put VLAN {vlan} of {name} into bridge {bridge}{self._where()}"
        self._set_filter(operation, self._required_index(bridge, operation), 1, vlan)
        self.enslave(name, bridge)
        self._tag(bridge, self.get(name), vlan)

    def leave_vlans(self, bridge: str) -> None:
        """The bridge takes frames as they come, as a new one does."""
        message = self._message(bridge)
        if message is None or not _filters(message):
            return
        operation = f"let bridge {bridge} take frames as they come{self._where()}"
        self._set_filter(operation, message["index"], 0, _USUAL_PVID)

    def carries_vlan(self, bridge: str, name: str, vlan: int) -> bool:
        """Is the VLAN of the NIC in that bridge?"""
        message, nic = self._message(bridge), self.find(name)
        if message is None or nic is None:
            return False
        made = self.find(vlan_link_name(nic, vlan))
        if made is not None and self._is_vlan(made.name, nic, vlan):
            return bool(made.master == message["index"])
        data = _data(message)
        is_tagged = data is not None and data.get_attr("IFLA_BR_VLAN_DEFAULT_PVID") == vlan
        return bool(is_tagged and _filters(message) and nic.master == message["index"])

    def _add_vlan(self, operation: str, made: str, nic: Link, vlan: int) -> bool:
        parent = [("IFLA_LINK", nic.index)]
        return not self._add(operation, made, "vlan", parent, [("IFLA_VLAN_ID", vlan)], _UNSUPPORTED)

    def _add_helper(self, operation: str, made: str, nic: Link) -> bool:
        mac = [("IFLA_ADDRESS", nic.mac)]
        return not self._add(operation, made, "bridge", mac, _filtering(1, _NO_PVID), _UNSUPPORTED)

    def _set_filter(self, operation: str, bridge: int, filtering: int, pvid: int) -> None:
        settings = kind_attribute("bridge", _filtering(filtering, pvid))
        self._change(operation, _NEW_LINK, message_of("ifinfmsg", [settings], index=bridge))

    def _tag(self, bridge: str, nic: Link, vlan: int) -> None:
        """The NIC is a port of the bridge that carries this VLAN tagged, and the bridge itself has it untagged."""
        operation = f"tag VLAN {vlan} on {nic.name} in bridge {bridge}{self._where()}"
        index = self._required_index(bridge, operation)
        if nic.master != index:
            self.enslave(nic.name, bridge)
        untagged = ("IFLA_BRIDGE_VLAN_INFO", {"vid": vlan, "flags": _UNTAGGED})
        self._filter(operation, index, [_OF_THE_BRIDGE_ITSELF, untagged])
        # Over what the bridge's default has given the port: the flags are replaced.
        self._filter(operation, nic.index, [("IFLA_BRIDGE_VLAN_INFO", {"vid": vlan, "flags": []})])

    def _filter(self, operation: str, index: int, rules: Attributes) -> None:
        request = message_of("ifinfmsg", [("IFLA_AF_SPEC", {"attrs": list(rules)})], family=_AF_BRIDGE, index=index)
        self._change(operation, _SET_LINK, request)

    def _is_vlan(self, name: str, nic: Link, vlan: int) -> bool:
        message = self._message(name)
        data = None if message is None else _data(message)
        if message is None or data is None or kind_of(message) != "vlan":
            return False
        return bool(message.get_attr("IFLA_LINK") == nic.index and data.get_attr("IFLA_VLAN_ID") == vlan)

    def _is_helper(self, name: str, nic: Link) -> bool:
        message = self._message(name)
        if message is None or kind_of(message) != "bridge" or not _filters(message):
            return False
        return not any(link.master == message["index"] and link.index != nic.index for link in self.all())


def _filtering(filtering: int, pvid: int) -> Attributes:
    return [("IFLA_BR_VLAN_FILTERING", filtering), ("IFLA_BR_VLAN_DEFAULT_PVID", pvid)]


def _data(message: Message) -> Message | None:
    information = message.get_attr("IFLA_LINKINFO")
    return information.get_attr("IFLA_INFO_DATA") if information else None


def _filters(message: Message) -> bool:
    data = _data(message)
    return data is not None and bool(data.get_attr("IFLA_BR_VLAN_FILTERING"))
