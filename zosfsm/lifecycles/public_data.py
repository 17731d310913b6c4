"""What the public interface is made of: what is wished, what stands, what is wanted done. Plain frozen data."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from attrs import frozen

from zosfsm.fsm.lifecycle import Effect

NAMESPACE = "public"
NO_MASTER = "none"
"""The master of a configuration that wishes no public interface: the grid has no other word for it."""

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


@frozen
class PublicWish:
    """The farmer's configuration; `master` is a NIC, and None stands for what is not given.

    `version` is the grid's count of configurations. The rules for all of it are in public_rules.py.
    """

    version: int
    master: str
    vlan: int | None = None
    ipv4: Interface | None = None
    gateway4: Address | None = None
    ipv6: Interface | None = None
    gateway6: Address | None = None

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Those that are given, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)

    @property
    def gateways(self) -> tuple[Address, ...]:
        """Those that are given, IPv4 first."""
        return tuple(gateway for gateway in (self.gateway4, self.gateway6) if gateway is not None)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The farmer's own networks to which the addresses belong."""
        return tuple(address.network for address in self.addresses)


@frozen
class Ground:
    """What a NIC was like when the public interface was to be put on it.

    `carries_uplink`: it carries the node too, so it stays a candidate for that. `mac`: its own address, which it gets
    back where it was exchanged.
    """

    carries_uplink: bool
    mac: str


@frozen
class PublicInterface:
    """A wish, and the ground that it is carried out on."""

    wish: PublicWish
    ground: Ground

    def is_on_the_ground_of(self, other: PublicInterface | None) -> bool:
        """Are both on the same NIC, with the same VLAN?"""
        return other is not None and (other.wish.master, other.wish.vlan) == (self.wish.master, self.wish.vlan)


@frozen
class PublicData:
    """`wish` is the newest that the grid had, `refusal` why it was refused, "" where it was not.

    `trying` is on its way to be what stands; `standing` is put in place again after every start.
    """

    is_registered: bool = False
    wish: PublicWish | None = None
    refusal: str = ""
    trying: PublicInterface | None = None
    standing: PublicInterface | None = None


@frozen
class UplinkMoved:
    """The NIC has become the uplink's, or has ceased to be it."""

    link: str


@frozen
class FollowPublic(Effect):
    """Ask the grid again and again for the farmer's wish, and look whether `standing` is as it should be.

    Answers configured with a wish that is not `known`, and differs, as long as the machine stays in its state.
    """

    known: PublicWish | None
    standing: PublicInterface | None


@frozen
class ExaminePublic(Effect):
    """Is the wish's NIC there and free for it? Changes nothing; answers examined or step_failed."""

    wish: PublicWish


@frozen
class MakePublic(Effect):
    """Put the link on its NIC, beside whatever addresses it has there; answers made or step_failed."""

    trying: PublicInterface


@frozen
class VerifyPublic(Effect):
    """Are the addresses free, and do the gateways answer? Answers verified or step_failed.

    What `standing` has already is its own.
    """

    trying: PublicInterface
    standing: PublicInterface | None


@frozen
class SwitchPublic(Effect):
    """Exactly these addresses and routes are in use from now on; answers switched or step_failed."""

    trying: PublicInterface


@frozen
class ConfirmPublic(Effect):
    """Does the node still reach the grid? Answers confirmed or step_failed."""

    trying: PublicInterface


@frozen
class RestorePublic(Effect):
    """Exactly what stands is in place, or nothing where that is None; answers restored or step_failed."""

    standing: PublicInterface | None


@frozen
class LeavePublic(Effect):
    """Give a NIC back that carries the public interface no more: its VLAN's link, its MAC address. Has no answer."""

    left: PublicInterface


@frozen
class LookAtNetworks(Effect):
    """The network resources' tunnels have to meet the internet elsewhere from now on. Has no answer."""


@frozen
class RemovePublic(Effect):
    """Remove the namespace and give the NIC back; answers gone or step_failed."""

    standing: PublicInterface | None
