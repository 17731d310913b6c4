"""What other daemons of the node may ask about workloads: join, leave, taps, and what a network looks like from inside.

Whoever carries the calls (a socket, a bus) calls these functions and turns `CallRefused` into its own kind of answer.
Every argument is taken for hostile. Nothing is decided here but whether a call can be understood.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from attrs import frozen

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.fsm.machine import Instance
from zosfsm.kernel.network_plan import IDENTIFIER
from zosfsm.kernel.wireguard import MTU
from zosfsm.kernel.workload import LINK, NAME, WorkloadNames, mac_of
from zosfsm.lifecycles.resource import NetworkFacts, ResourceData
from zosfsm.lifecycles.workload_data import AnswerCalls, JoinAsked, LeaveAsked, WorkloadData, WorkloadPlace
from zosfsm.names.zone import TOP, network_label
from zosfsm.node.executor import Failure, Handler, Report
from zosfsm.node.workload_names import KIND, workload_machine, workload_of, workloads_of

# The kernel may have hundreds of other things to do first.
ANSWER_SECONDS = 60.0
MOST_OPEN_CALLS = 1000
LONGEST_WORD = 64


class CallRefused(Exception):
    """A call that is not followed; one sentence."""


@frozen
class WorkloadDescription:
    """A workload and all that it has to know of its network.

    A container has its addresses and routes already, in `namespace` on `link`. Of a tap `namespace` and `name` are
    None, `link` is the tap in the node's own namespace, and the virtual machine sets `mac`, addresses, gateways and
    `mtu` itself. `search` is the domain in which the network's other workloads are known by name. `mtu`, in bytes, is
    what fits through the network's tunnels.
    """

    network: str
    network_name: str | None
    name: str | None
    state: str
    namespace: str | None
    link: str
    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    gateways: tuple[IPv4Address | IPv6Address, ...]
    name_servers: tuple[IPv4Address | IPv6Address, ...]
    search: str | None
    mtu: int = MTU


class WorkloadCalls:
    """Belongs to the node's loop. `instances` answers the machines."""

    def __init__(self, report: Report, instances: Callable[[], Mapping[str, Instance]]) -> None:
        self._report = report
        self._instances = instances
        self._open: dict[str, asyncio.Future[AnswerCalls]] = {}

    @property
    def handlers(self) -> Mapping[type[Effect], Handler]:
        """Which effect is carried out by what."""
        return {AnswerCalls: self._answer}

    @property
    def failures(self) -> Mapping[type[Effect], Failure]:
        """An answer has none."""
        return {}

    async def join(self, network: str, name: str, address: str | None = None) -> WorkloadDescription:
        """Make the container `name` a namespace in the network, with this IPv4 address or the lowest free one.

        Repeated, it answers the same. Raises CallRefused. This is the bus's Join.
        """
        return await self._joined(self._network(network), _checked_name(name), address)

    async def leave(self, network: str, name: str) -> None:
        """Remove the container; success where there is none. Raises CallRefused. The bus calls it Leave."""
        await self._left(network, _checked_name(name))

    async def setup_tap(self, network: str, address: str | None = None) -> WorkloadDescription:
        """Make the network's tap for a virtual machine, as `join`. Raises CallRefused. The bus calls it SetupTap."""
        return await self._joined(self._network(network), "", address)

    async def remove_tap(self, network: str) -> None:
        """Remove it, as `leave`. Raises CallRefused. The bus calls it RemoveTap."""
        await self._left(network, "")

    def listed(self, network: str | None = None) -> tuple[WorkloadDescription, ...]:
        """All workloads that have a place, or those of one network. Raises CallRefused."""
        instances = self._instances()
        chosen: Iterator[Instance] = (one for one in instances.values() if one.kind == KIND)
        if network is not None:
            chosen = workloads_of(self._network(network), instances)
        return tuple(
            self._description(*workload_of(one.name), one.state, one.data.place)
            for one in sorted(chosen, key=lambda one: one.name)
            if isinstance(one.data, WorkloadData) and one.data.place is not None
        )

    def subnet(self, network: str) -> IPv4Network:
        """The network's part on this node. Raises CallRefused. The bus calls it GetSubnet."""
        facts = _facts(self._instances().get(f"resource:{self._network(network)}"))
        if facts is None:
            raise CallRefused(f"expected the network {network!r} to be reserved, found it being removed")
        return facts.subnet

    def gateway(self, network: str) -> IPv4Address:
        """Where workloads send what is not for their subnet. Raises CallRefused. The bus calls it GetDefaultGwIP."""
        return self.subnet(network).network_address + 1

    def addresses(self, network: str, name: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Those of a container. Raises CallRefused. The bus calls it Addrs."""
        machine = workload_machine(self._network(network), _checked_name(name))
        instance = self._instances().get(machine)
        if instance is None or not isinstance(instance.data, WorkloadData) or instance.data.place is None:
            raise CallRefused(f"expected the workload {name} in the network {network}, found none; join it first")
        return instance.data.place.address.ip, instance.data.place.ula.ip

    async def _joined(self, network: str, name: str, address: str | None) -> WorkloadDescription:
        asked = None if address is None else _checked_address(address)
        answer = await self._called(network, name, lambda call: Event("join", JoinAsked(call, asked)))
        if answer.place is None:
            raise CallRefused(answer.refusal)
        return self._description(network, name, "joined", answer.place)

    async def _left(self, network: str, name: str) -> None:
        identifier = self._network_of_old(network)
        if identifier is None:
            return
        answer = await self._called(identifier, name, lambda call: Event("leave", LeaveAsked(call)))
        if answer.refusal:
            raise CallRefused(answer.refusal)

    async def _called(self, network: str, name: str, event: Callable[[str], Event]) -> AnswerCalls:
        if len(self._open) >= MOST_OPEN_CALLS:
            raise CallRefused(f"expected fewer than {MOST_OPEN_CALLS} calls at a time, found as many; try again")
        call = secrets.token_hex(8)
        answer: asyncio.Future[AnswerCalls] = asyncio.get_running_loop().create_future()
        self._open[call] = answer
        try:
            self._report(workload_machine(network, name), event(call))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError:
            raise CallRefused(
                f"expected an answer within {ANSWER_SECONDS:g} s, found that it is under way still; ask again"
            ) from None
        finally:
            del self._open[call]

    async def _answer(self, emission: Emission) -> None:
        effect = emission.effect
        assert isinstance(effect, AnswerCalls)
        for call in effect.calls:
            # Who called may have gone, or have called an earlier life of this process.
            answer = self._open.get(call)
            if answer is not None and not answer.done():
                answer.set_result(effect)

    def _description(self, network: str, name: str, state: str, place: WorkloadPlace) -> WorkloadDescription:
        names = WorkloadNames(network, name)
        facts = _facts(self._instances().get(f"resource:{network}"))
        gateways = (place.gateway, place.gateway_ipv6)
        return WorkloadDescription(
            network=network,
            network_name=facts.name if facts else None,
            name=name or None,
            state=state,
            namespace=names.namespace if name else None,
            link=LINK if name else names.outside,
            mac=mac_of(network, place.address.ip),
            addresses=(place.address, place.ula),
            gateways=gateways,
            name_servers=gateways,
            search=f"{network_label(facts.name)}.{TOP}" if facts else None,
        )

    def _network(self, word: str) -> str:
        """The identifier of a network of this node that is called so. Raises CallRefused."""
        found = self._networks_called(word)
        if not found:
            raise CallRefused(f"expected a network of this node, found {_shown(word)}; `zosfsm status` lists them")
        return found[0]

    def _network_of_old(self, word: str) -> str | None:
        """The same where the network may be gone, and with it its name: None where nothing can be of that name."""
        found = self._networks_called(word)
        if found:
            return found[0]
        return word if IDENTIFIER.fullmatch(word) else None

    def _networks_called(self, word: str) -> tuple[str, ...]:
        instances = self._instances()
        if f"resource:{word}" in instances:
            return (word,)
        found = tuple(
            name.partition(":")[2]
            for name, one in instances.items()
            if (facts := _facts(one)) is not None and facts.name == word
        )
        if len(found) > 1:
            raise CallRefused(
                f"expected one network called {_shown(word)}, found {len(found)}; name it by its identifier, "
                "which `zosfsm status` shows"
            )
        return found


def _facts(instance: Instance | None) -> NetworkFacts | None:
    """What is known of a network; None for any other machine, and for a network that nobody has reserved."""
    if instance is None or not isinstance(instance.data, ResourceData) or instance.data.present is None:
        return None
    return instance.data.present.network


def _checked_name(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise CallRefused(
        "expected a workload's name of 1 to 63 lower-case letters, digits or hyphens, with no hyphen at either end, "
        f"found {_shown(name)}"
    )


def _checked_address(address: str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError:
        raise CallRefused(f"expected an IPv4 address such as 10.1.1.2, found {_shown(address)}") from None


def _shown(word: str) -> str:
    return repr(word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}...")
