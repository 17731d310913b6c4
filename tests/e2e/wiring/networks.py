"""What can be behind a NIC, and on the internet: the nouns in which wirings are written. Plain frozen data."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


@frozen
class NoCable:
    """Nothing is plugged in."""


@frozen
class NobodyThere:
    """A cable to a switch without anybody else: carrier, and never an answer."""


@frozen
class Dnsmasq:
    """dnsmasq as the DHCP server. `router`: the host number of the gateway that it names, None for none.

    `slow`: it pings an address before it offers it, which takes 3 s. `first` is the first host number of its pool.
    """

    router: int | None = 1
    slow: bool = False
    first: int = 50


class Answer(Enum):
    """What a scripted DHCP server sends besides what it should."""

    PLAIN = "nothing"
    MALFORMED = "malformed options in the midst of good ones, and packets of all kinds that are none of ours"


@frozen
class Scripted:
    """A DHCP server of our own, which does what dnsmasq would not: it grants `offers` in turn (host numbers).

    `seconds`: how long a lease is; `refuses`: how many REQUESTs it answers with NAK first; `server`: which host it is.
    """

    offers: tuple[int, ...] = (50,)
    router: int | None = 1
    seconds: int = 3600
    refuses: int = 0
    server: int = 1
    answer: Answer = Answer.PLAIN


class Names(Enum):
    """The name server, which is the router."""

    HONEST = "honest"
    IGNORANT = "knows no name"
    LYING = "answers every name with the same address"
    SILENT = "does not answer"


PLAIN_DHCP = Dnsmasq()


@frozen
class Lan:
    """A router with a DHCP server, a name server and, if `ipv6`, radvd; behind it the internet.

    `squatter` is the host number of somebody who took an address without asking. `vlan`: all of it is tagged.
    `portal`: the router answers in the place of every web server. `upstream`: it has a way out itself. `plugged`: the
    cable is in from the beginning.
    """

    dhcp: Dnsmasq | Scripted | None = PLAIN_DHCP
    ipv6: bool = False
    names: Names = Names.HONEST
    squatter: int | None = None
    vlan: int | None = None
    portal: bool = False
    upstream: bool = True
    plugged: bool = True


Behind = NoCable | NobodyThere | Lan


class Internet(Enum):
    """What is at the grid's address."""

    GRID = "the grid database"
    NOTHING = "nobody"
    FALSE_CERTIFICATE = "a web server that cannot prove to be the grid"
