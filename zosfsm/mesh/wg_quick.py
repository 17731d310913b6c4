"""What a laptop or server gives to wg-quick(8) to join a network. It holds a private key: write it 0600.

The network's name server is a comment: with it all of the machine's questions would go through the network, and
wg-quick would refuse to start where there is no resolvconf(8).
"""

from __future__ import annotations

from zosfsm.mesh.addresses import tunnel_address
from zosfsm.mesh.plans import AccessPlan, MeshPlan
from zosfsm.mesh.reservation import endpoint_text

KEEPALIVE_SECONDS = 20
MTU = 1420


def wg_quick(plan: MeshPlan, access: AccessPlan) -> str:
    """The text of `<access name>.conf`."""
    first = access.subnet.network_address + 1
    through = plan.resource(access.through)
    assert through is not None, "an access goes through a node of the plan"
    return "\n".join(
        [
            # The subnet's address comes first: it is the source of what the machine sends into the network.
            f"# network {plan.name}, access {access.name} through node {access.through}",
            "[Interface]",
            f"Address = {first}/32, {tunnel_address(access.subnet)}/32",
            f"PrivateKey = {access.private_key}",
            f"MTU = {MTU}",
            "# For the network's names, with resolvconf:",
            f"# DNS = {through.subnet.network_address + 1}",
            "",
            "[Peer]",
            f"PublicKey = {access.through_public_key}",
            f"Endpoint = {endpoint_text(access.endpoint)}",
            f"AllowedIPs = {', '.join(str(network) for network in access.allowed_ips)}",
            f"PersistentKeepalive = {KEEPALIVE_SECONDS}",
            "",
        ]
    )
