"""The edge to Linux: links, namespaces, addresses, probes, firewall, tunnels. It carries out, it never decides."""

from zosfsm.kernel.pyroute2_parts import spare_the_whole

spare_the_whole()
