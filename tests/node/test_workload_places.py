"""Every workload has an address of its own, inside its network's subnet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.kernel.network_plan import NetworkNames
from zosfsm.node.workload_places import NoPlace, place_in

SUBNET = IPv4Network("10.1.1.0/24")
USABLE = [SUBNET[number] for number in range(2, 255)]


@given(st.sets(st.sampled_from(list(SUBNET))), st.none() | st.sampled_from(list(SUBNET)))
def test_an_address_is_free_and_fit_or_refused_for_a_reason(taken: set[IPv4Address], asked: IPv4Address | None) -> None:
    free = [address for address in USABLE if address not in taken]
    try:
        place = place_in("abc", SUBNET, asked, taken)
    except NoPlace as refusal:
        assert asked not in free
        assert str(refusal).startswith(("expected an address from", f"{asked} is taken", "all 253 addresses"))
        return
    assert place.address.ip == (asked or free[0])
    assert place.subnet == SUBNET
    assert place.ula.ip in NetworkNames("abc").ula
    assert int(place.ula.ip) & 0xFFFFFFFF == int(place.address.ip)


def test_a_full_network_has_no_place() -> None:
    with pytest.raises(NoPlace, match="all 253 addresses"):
        place_in("abc", SUBNET, None, USABLE)
