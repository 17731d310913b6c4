"""What a laptop is given."""

from __future__ import annotations

from tests.mesh.networks import dual, hidden, keys, node_id, request_for
from zosfsm.mesh.planning import plan
from zosfsm.mesh.request import AccessRequest
from zosfsm.mesh.wg_quick import wg_quick


def test_the_text_of_a_laptop() -> None:
    facts = [dual(1), hidden(2)]
    whole = plan(request_for(*facts, access=(AccessRequest("laptop", node_id(1)),)), facts, keys)
    port = whole.resources[0].listen_port
    assert (
        wg_quick(whole, whole.access[0])
        == f"""\
# network office, access laptop through node {node_id(1)}
[Interface]
Address = 10.1.3.1/32, 100.64.1.3/32
PrivateKey = {keys("laptop").private_key}
MTU = 1420
# For the network's names, with resolvconf:
# DNS = 10.1.1.1

[Peer]
PublicKey = {keys(node_id(1)).public_key}
Endpoint = 203.0.113.1:{port}
AllowedIPs = 10.1.0.0/16, 100.64.1.1/32, 100.64.1.2/32
PersistentKeepalive = 20
"""
    )


def test_a_name_cannot_break_out_of_its_comment() -> None:
    """Names are printable by the request's rules: no line end gets here."""
    whole = plan(request_for(dual(1), access=(AccessRequest("laptop", node_id(1)),), name="a b"), [dual(1)], keys)
    assert wg_quick(whole, whole.access[0]).startswith("# network a b, access laptop")
