"""The kernel command line: what of it concerns the node. Pure; a wrong value is a complaint and a default."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from enum import Enum

from attrs import frozen

from zosfsm.kernel.vlan import LARGEST_VLAN
from zosfsm.lifecycles.uplink_policy import AddressPlan
from zosfsm.node.address_arguments import address_plans
from zosfsm.node.endpoint_urls import is_grid_url
from zosfsm.node.nic_references import nic_reference

LARGEST_FARM_ID = 2**63 - 1
UNTAGGED = 0
_NO_VLAN = ("none", "untagged", "un")
_ETHERNET = "01"


class RunMode(Enum):
    """Which grid the node belongs to."""

    DEVELOPMENT = "dev"
    TEST = "test"
    PRODUCTION = "prod"


class PublicMac(Enum):
    """Where the public interface's MAC address comes from: made up, or exchanged with its NIC's."""

    RANDOM = "random"
    SWAP = "swap"


@frozen
class CommandLine:
    """`farm_id` 0: the node belongs to no farm. `complaints`: one sentence for each value that was not usable.

    `vlan` and `public_vlan`: None where nothing is told, UNTAGGED where it is told that there is none.
    """

    run_mode: RunMode = RunMode.PRODUCTION
    farm_id: int = 0
    grid_url: str = ""
    debug: bool = False
    preferred: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    vlan: int | None = None
    plans: tuple[AddressPlan, ...] = ()
    public_vlan: int | None = None
    public_mac: PublicMac = PublicMac.RANDOM
    complaints: tuple[str, ...] = ()


def parse(text: str) -> CommandLine:
    """Reads a kernel command line; never raises.

    Zero-OS: runmode=, farmer_id=, bcdb=, zos-debug, vlan:priv=, vlan:pub=, pub:mac=. dracut.cmdline(7): ip=,
    nameserver=, bootdev=. PXELINUX: BOOTIF=. Ours: nic:prefer=, nic:exclude=. Where a word is given more than once
    and only one value can be followed, it is the first.
    """
    words, complaints = _words(text)
    values = _values(words)
    mode = _mode(values, complaints)
    preferred, excluded = _preferred(values, complaints), _nics(values, "nic:exclude", complaints)
    complaints += [
        f"nic:prefer= and nic:exclude= both name {nic}; it is excluded" for nic in preferred if nic in excluded
    ]
    preferred = tuple(nic for nic in preferred if nic not in excluded)
    return CommandLine(
        run_mode=mode,
        farm_id=_farm_id(values, complaints),
        grid_url=_grid_url(values, mode, complaints),
        debug="zos-debug" in words,
        preferred=preferred,
        excluded=excluded,
        vlan=_vlan(values, "vlan:priv", complaints),
        plans=address_plans(values.get("ip", []), values.get("nameserver", []), preferred[:1], complaints),
        public_vlan=_vlan(values, "vlan:pub", complaints),
        public_mac=_public_mac(values, complaints),
        complaints=tuple(complaints),
    )


def _words(text: str) -> tuple[list[str], list[str]]:
    try:
        return shlex.split(text, comments=False), []
    except ValueError:
        complaint = "the kernel command line has a quotation mark without its partner; it was split at the spaces"
        return text.split(), [complaint]


def _values(words: list[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            values.setdefault(name, []).append(value)
    return values


def _first(values: dict[str, list[str]], name: str) -> str | None:
    return values[name][0] if name in values else None


def _mode(values: dict[str, list[str]], complaints: list[str]) -> RunMode:
    text = _first(values, "runmode")
    if text is None:
        return RunMode.PRODUCTION
    if text not in [mode.value for mode in RunMode]:
        complaints.append(f"runmode= is dev, test or prod, found {text[:40]!r}; the node runs as prod")
        return RunMode.PRODUCTION
    return RunMode(text)


def _farm_id(values: dict[str, list[str]], complaints: list[str]) -> int:
    text = _first(values, "farmer_id")
    if text is None:
        return 0
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > LARGEST_FARM_ID:
        complaints.append(f"farmer_id= is a whole number, found {text[:40]!r}; the node belongs to no farm")
        return 0
    return int(text)


def _grid_url(values: dict[str, list[str]], mode: RunMode, complaints: list[str]) -> str:
    url = _first(values, "bcdb")
    if not url:
        return ""
    if mode is not RunMode.DEVELOPMENT:
        complaints.append(f"bcdb= is heeded with runmode=dev only, found it with runmode={mode.value}; it is ignored")
        return ""
    if not is_grid_url(url):
        complaints.append(f"bcdb= is a URL such as http://192.0.2.1:8080, found {url[:80]!r}; it is ignored")
        return ""
    return url


def _preferred(values: dict[str, list[str]], complaints: list[str]) -> tuple[str, ...]:
    found = [*_nics(values, "nic:prefer", complaints), *_boot_device(values, complaints), *_pxe(values, complaints)]
    return tuple(dict.fromkeys(found))


def _nics(values: dict[str, list[str]], word: str, complaints: list[str]) -> tuple[str, ...]:
    told = [text for value in values.get(word, []) for text in value.split(",")]
    wrong = [text for text in told if nic_reference(text) is None]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        complaints.append(
            f"{word}= is names or MAC addresses of NICs with commas between them, found {wrong[0][:40]!r}{more}; "
            "what is neither is ignored"
        )
    return tuple(dict.fromkeys(nic for text in told if (nic := nic_reference(text)) is not None))


def _boot_device(values: dict[str, list[str]], complaints: list[str]) -> Iterator[str]:
    text = _first(values, "bootdev")
    if text is None:
        return
    nic = nic_reference(text)
    if nic is None:
        complaints.append(f"bootdev= is the name or MAC address of a NIC, found {text[:40]!r}; it is ignored")
    else:
        yield nic


def _pxe(values: dict[str, list[str]], complaints: list[str]) -> Iterator[str]:
    text = _first(values, "BOOTIF")
    if text is None:
        return
    # PXELINUX writes the type of the hardware before the address; others leave it out.
    bare = text[3:] if re.match(f"{_ETHERNET}[:-]", text) and len(text) == 20 else text
    nic = nic_reference(bare) if len(bare) == 17 else None
    if nic is None:
        complaints.append(f"BOOTIF= is a MAC address such as 01-02-00-5e-10-00-01, found {text[:40]!r}; it is ignored")
    else:
        yield nic


def _vlan(values: dict[str, list[str]], word: str, complaints: list[str]) -> int | None:
    text = _first(values, word)
    if text is None:
        return None
    if text in _NO_VLAN:
        return UNTAGGED
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= LARGEST_VLAN:
        complaints.append(f"{word}= is a VLAN from 1 to {LARGEST_VLAN}, found {text[:40]!r}; it is ignored")
        return None
    return int(text)


def _public_mac(values: dict[str, list[str]], complaints: list[str]) -> PublicMac:
    text = _first(values, "pub:mac")
    if text is None:
        return PublicMac.RANDOM
    if text not in [origin.value for origin in PublicMac]:
        complaints.append(f"pub:mac= is random or swap, found {text[:40]!r}; it is random")
        return PublicMac.RANDOM
    return PublicMac(text)
