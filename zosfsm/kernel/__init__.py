"""The edge to Linux: links, namespaces, addresses, probes, firewall, tunnels. It carries out, it never decides."""
