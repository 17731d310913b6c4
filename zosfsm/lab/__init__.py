"""A virtual farm in network namespaces of this machine: the demo, and the ground of end-to-end tests."""
