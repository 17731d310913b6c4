"""What a network resource should be: addresses that follow from its plan, and plans that no node can carry out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from attrs import evolve

from tests.kernel.network_ground import KEYS, peer_of, plan_of
from zosfsm.kernel.errors import KernelError


class TestPlan:
    def test_addresses_follow_from_the_subnet_and_the_identifier(self) -> None:
        plan = plan_of(1, 2)
        assert [str(each) for each in plan.tunnel_addresses] == ["100.64.1.1/16"]
        assert [str(each) for each in plan.dmz_addresses] == ["100.127.0.2/16", "fd00::2/64"]
        lan, ula = plan.lan_addresses
        assert str(lan) == "10.1.1.1/24"
        assert ula.ip in plan.ula
        assert int(ula.ip) & 0xFFFFFFFF == int(lan.ip)

    def test_a_mesh_has_one_ula_on_all_nodes_and_another_mesh_another(self) -> None:
        assert plan_of(1).ula == plan_of(2).ula != plan_of(1, identifier="other").ula
        assert plan_of(1).ula.subnet_of(IPv6Network("fd00::/8"))

    def test_the_private_key_is_not_shown(self) -> None:
        assert KEYS[0][0] not in repr(plan_of(1))

    @pytest.mark.parametrize("identifier", ["", "a" * 14, "a/b", "a b", "../x", "ä"])
    def test_an_identifier_that_makes_no_link_name_is_refused(self, identifier: str) -> None:
        with pytest.raises(KernelError, match="expected 1 to 13 letters"):
            plan_of(1, identifier=identifier)

    @pytest.mark.parametrize("subnet", ["10.2.1.0/24", "10.1.0.0/16", "10.1.1.0/25"])
    def test_a_subnet_outside_the_range_or_of_another_size_is_refused(self, subnet: str) -> None:
        with pytest.raises(KernelError, match="expected a /24 inside"):
            evolve(plan_of(1), subnet=IPv4Network(subnet))

    @pytest.mark.parametrize("address", ["100.127.0.1", "100.128.0.2", "10.0.0.1"])
    def test_a_dmz_address_that_is_none_is_refused(self, address: str) -> None:
        with pytest.raises(KernelError, match="expected a DMZ address"):
            evolve(plan_of(1), dmz_address=IPv4Address(address))

    @pytest.mark.parametrize("network", ["0.0.0.0/0", "10.1.1.0/24", "192.168.0.0/24", "100.127.0.0/16"])
    def test_a_peer_may_not_take_what_is_not_its_own(self, network: str) -> None:
        with pytest.raises(KernelError, match="a peer may not have"):
            evolve(plan_of(1), peers=(evolve(peer_of(2), allowed_ips=(IPv4Network(network),)),))
