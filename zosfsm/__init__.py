"""The boot and network lifecycle of a Zero-OS node, as explicit state machines."""

__version__ = "0.1.0"
