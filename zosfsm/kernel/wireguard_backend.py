"""Which WireGuard this machine offers: the kernel's or wireguard-go. Configures nothing."""

from __future__ import annotations

from zosfsm.kernel.wireguard import WireGuard
from zosfsm.kernel.wireguard_kernel import KernelWireGuard
from zosfsm.kernel.wireguard_userspace import UserspaceWireGuard


def offered() -> WireGuard:
    """The kernel's WireGuard where the kernel has it, else wireguard-go."""
    kernel = KernelWireGuard()
    return kernel if kernel.supported() else UserspaceWireGuard()
