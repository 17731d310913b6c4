"""Composition: the loop, the executor, the store, the status file and the configuration of one node."""
