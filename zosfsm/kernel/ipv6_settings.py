"""How the kernel does IPv6 on a link: not at all, on trial, or as the uplink's bridge. It must not decide when.

Both kinds make an address usable at once and still notice a duplicate: optimistic duplicate address detection (RFC
4429). Measured from switching IPv6 on to a usable global address, median of 8 to 25, where the router answers a
solicitation at once: 3 ms on the bridge and 11 ms on trial; without detection 3 ms; with detection before use 2.0 s.
While `all.forwarding` is on the kernel does nothing optimistic; then there is no detection, because two more seconds at
each start are the worse bargain.

A link on trial must not draw the node's other traffic to it. Its default route has a metric behind all others, so that
only sockets bound to the link use it. A route to an advertised prefix would win by its length, whatever its metric: any
host there could advertise the grid's prefix as its own. So the kernel takes no prefixes from a trial's routers, no more
specific routes and no redirects; whoever hears the advertisements makes the addresses (ipv6_addresses.TrialAddresses).

Everything is done in the calling thread's namespace, and raises KernelError.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from zosfsm.kernel import sysctl
from zosfsm.kernel.errors import KernelError, attempting
from zosfsm.kernel.routes import TRIAL_METRIC

_CONF = "net/ipv6/conf"
_SWITCH = "disable_ipv6"
_ON, _OFF = "0", "1"

# ip-sysctl of the kernel's documentation says what each means.
_COMMON = {
    # Also where the host forwards, and then it stays so when somebody switches forwarding on later.
    "accept_ra": "2",
    "accept_ra_defrtr": "1",
    "accept_ra_mtu": "1",
    "router_solicitation_delay": "0",
    # One address of a prefix, made of the MAC: the bridge's is then the one that was proven on its NIC.
    "addr_gen_mode": "0",
    "use_tempaddr": "0",
    # No packet leaves over the link with another link's address.
    "use_oif_addrs_only": "1",
    "accept_dad": "1",
}
_BRIDGE = {**_COMMON, "accept_ra_pinfo": "1", "autoconf": "1"}
_TRIAL = {
    **_COMMON,
    "accept_ra_pinfo": "0",
    "autoconf": "0",
    "accept_ra_rt_info_max_plen": "0",
    "accept_redirects": "0",
}
_OPTIMISTIC = {"dad_transmits": "1", "optimistic_dad": "1", "use_optimistic": "1"}
_WITHOUT_DETECTION = {"dad_transmits": "0", "optimistic_dad": "0", "use_optimistic": "0"}
# A kernel without CONFIG_IPV6_OPTIMISTIC_DAD does not have them.
_OPTIONAL = frozenset({"optimistic_dad", "use_optimistic"})
_METRIC = "ra_defrtr_metric"
_CHANGED = tuple(sorted({*_TRIAL, *_BRIDGE, *_OPTIMISTIC, _METRIC}))


def begin_trial(link: str) -> None:
    """Switch IPv6 on for a trial, from scratch; a trial that has begun goes on undisturbed."""
    with attempting(f"begin IPv6 on {link}"):
        metric = str(TRIAL_METRIC + socket.if_nametoindex(link))
    wanted = {**_TRIAL, **_detection(link), _METRIC: metric}
    if _is_on(link) and all(_read(link, name) == value for name, value in wanted.items() if _has(link, name)):
        return
    _switch(link, _OFF)
    _set(link, wanted)
    _switch(link, _ON)


def begin_bridge(bridge: str) -> None:
    """Switch IPv6 on for the uplink's bridge; addresses and routes that it has already stay.

    A NIC with carrier should be in it: the kernel asks for routers when IPv6 is switched on, and again 4 s later only.
    """
    _set(bridge, {**_BRIDGE, **_detection(bridge)})
    _switch(bridge, _ON)


def end(link: str) -> None:
    """Switch IPv6 off: addresses and routes go, and no router is heard. An absent link, or no IPv6, is success."""
    if _is_offered(link):
        _switch(link, _OFF)


def give_back(link: str) -> None:
    """The link does IPv6 as any new one of this namespace would; an absent link, or no IPv6, is success."""
    if not _is_offered(link):
        return
    _switch(link, _OFF)
    _set(link, {name: _read("default", name) for name in _CHANGED if _has("default", name)})
    _switch(link, _read("default", _SWITCH))


def _detection(link: str) -> Mapping[str, str]:
    if not _is_offered(link):
        raise KernelError(f"begin IPv6 on {link}", "the link is gone, or this kernel has no IPv6 (see ipv6.disable)")
    is_optimistic = _has(link, "optimistic_dad") and _read("all", "forwarding") != "1"
    return _OPTIMISTIC if is_optimistic else _WITHOUT_DETECTION


def _is_offered(link: str) -> bool:
    return sysctl.is_offered(_name(link, _SWITCH))


def _is_on(link: str) -> bool:
    return _read(link, _SWITCH) == _ON


def _switch(link: str, value: str) -> None:
    sysctl.write(_name(link, _SWITCH), value)


def _set(link: str, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if _has(link, name):
            sysctl.write(_name(link, name), value)


def _has(link: str, parameter: str) -> bool:
    return parameter not in _OPTIONAL or sysctl.is_offered(_name(link, parameter))


def _read(link: str, name: str) -> str:
    return sysctl.read(_name(link, name))


def _name(link: str, parameter: str) -> str:
    return f"{_CONF}/{link}/{parameter}"
