"""What a path hears about names and endpoints: each outcome by its trigger and its sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from attrs import define, evolve, field

from zosfsm.fsm.engine import Emission
from zosfsm.fsm.lifecycle import Effect, Event
from zosfsm.grid.endpoints import Endpoint
from zosfsm.grid.errors import GridUnreachable
from zosfsm.grid.reachability import Judgement, Reach
from zosfsm.kernel import name_resolution
from zosfsm.kernel.errors import KernelError
from zosfsm.kernel.name_resolution import Answer, NameServersSilent, NameUnknown, Version
from zosfsm.lifecycles.path_data import AskEndpoints, Resolution, Resolved, ResolveNames
from zosfsm.lifecycles.uplink_policy import Family
from zosfsm.node import reachability_edge as module
from zosfsm.node.configuration import Configuration
from zosfsm.node.grid_edge import NO_GRID
from zosfsm.node.reachability_edge import ReachabilityEdge, preload

Address = IPv4Address | IPv6Address

SERVER = ip_address("192.0.2.53")
ROUTER = ip_address("192.0.2.1")
GRID = ip_address("198.51.100.1")
NAMED = Configuration(grid_url="http://grid.example")
NUMBERED = Configuration(grid_url=f"http://{GRID}:8080")
RESOLVED = Resolution((Resolved("grid.example", (GRID,)),))


@define
class World:
    """Stands for name servers and endpoints. `reaches`: who answers at a URL; `lies`: what a server makes up."""

    names: dict[str, Sequence[Address] | KernelError] = field(factory=dict)
    reaches: dict[str, Judgement | KernelError] = field(factory=dict)
    lies: dict[Address, Address] = field(factory=dict)
    asked_names: list[tuple[str, str, Version]] = field(factory=list)
    asked: list[tuple[str, Sequence[Address]]] = field(factory=list)

    async def resolve(self, link: str, servers: Iterable[Address], name: str, version: Version) -> Answer:
        self.asked_names.append((link, name, version))
        found = self.names.get(name, NameServersSilent(f"resolve {name}", f"{SERVER} does not answer DNS"))
        if isinstance(found, KernelError):
            raise found
        return Answer(next(iter(servers)), tuple(found))

    async def answer_to_everything(self, _link: str, server: Address, _version: Version) -> Address | None:
        return self.lies.get(server)

    async def ask_any(self, endpoint: Endpoint, addresses: Sequence[Address], _open_socket: object) -> Judgement:
        self.asked.append((endpoint.url, addresses))
        found = self.reaches.get(endpoint.url, Judgement(endpoint, Reach.ANSWERS, f"{endpoint.url} answers"))
        if isinstance(found, KernelError):
            raise found
        return evolve(found, endpoint=endpoint)

    async def portal_beside(self, endpoint: Endpoint, _address: Address, _open_socket: object) -> Judgement | None:
        return self.reaches.get(f"plain port of {endpoint.host}")

    def silence(self, url: str) -> None:
        self.fail(url, Reach.SILENT, "no connection within 5 s")

    def fail(self, url: str, reach: Reach, evidence: str) -> None:
        anybody: Any = None
        self.reaches[url] = Judgement(anybody, reach, evidence)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(name_resolution, "resolve", made.resolve)
    monkeypatch.setattr(name_resolution, "answer_to_everything", made.answer_to_everything)
    monkeypatch.setattr(module, "ask_any", made.ask_any)
    monkeypatch.setattr(module, "portal_beside", made.portal_beside)
    monkeypatch.setattr("zosfsm.grid.quorum.PAUSE_SECONDS", 0)
    return made


def names(family: Family = Family.IPV4, link: str = "eth1", servers: tuple[Address, ...] = (SERVER,)) -> ResolveNames:
    return ResolveNames(link, family, servers)


def endpoints(resolution: Resolution = RESOLVED, gateway: Address | None = ROUTER, link: str = "eth1") -> AskEndpoints:
    family = Family.IPV6 if gateway is not None and gateway.version == 6 else Family.IPV4
    return AskEndpoints(link, family, (SERVER,), resolution, gateway)


async def carried_out(edge: ReachabilityEdge, effect: Effect) -> Event:
    event = await edge.handlers[type(effect)](Emission("path:eth1/ipv4", 1, effect))
    assert event is not None
    return event


def answer(configuration: Configuration, effect: Effect) -> Event:
    return asyncio.run(carried_out(ReachabilityEdge(configuration), effect))


def test_a_grid_by_address_is_resolved_without_asking_anybody(world: World) -> None:
    expected = Resolution((Resolved(str(GRID), (GRID,)),))
    assert answer(NUMBERED, names(servers=())) == Event("resolved", expected)
    assert world.asked_names == []


def test_a_grid_by_name_is_asked_for_through_the_paths_link_in_its_family(world: World) -> None:
    world.names["grid.example"] = [GRID]
    assert answer(NAMED, names()) == Event("resolved", RESOLVED)
    answer(NAMED, names(Family.IPV6))
    assert world.asked_names == [("eth1", "grid.example", 4), ("eth1", "grid.example", 6)]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("url", "family", "reason"),
    [
        ("http://192.0.2.1", Family.IPV6, "the grid's address 192.0.2.1 is IPv4, which this path is not"),
        ("http://[2001:db8::1]", Family.IPV4, "the grid's address 2001:db8::1 is IPv6, which this path is not"),
    ],
)
def test_an_address_of_the_other_family_is_no_way_for_this_path(url: str, family: Family, reason: str) -> None:
    assert answer(Configuration(grid_url=url), names(family)) == Event("names_silent", reason=reason)


@pytest.mark.parametrize("failure", [NameServersSilent, NameUnknown])
def test_names_that_are_not_known_are_told_with_what_the_servers_did(world: World, failure: type[KernelError]) -> None:
    world.names["grid.example"] = failure("resolve grid.example", "192.0.2.53 knows no grid.example (NXDOMAIN)")
    assert answer(NAMED, names()) == Event("names_silent", reason="192.0.2.53 knows no grid.example (NXDOMAIN)")


@pytest.mark.parametrize(
    "impossible",
    ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1"],
)
def test_an_address_where_no_server_can_be_is_a_lie(world: World, impossible: str) -> None:
    address = ip_address(impossible)
    world.names["grid.example"] = [address]
    event = answer(NAMED, names(Family.IPV4 if address.version == 4 else Family.IPV6))
    reason = f"192.0.2.53 answers grid.example with {impossible}, where no server can be"
    assert event == Event("names_lie", reason=reason)


def test_a_private_address_may_be_a_grid_and_an_impossible_one_beside_a_good_one_is_left_out(world: World) -> None:
    private = ip_address("10.0.0.1")
    world.names["grid.example"] = [ip_address("127.0.0.1"), private]
    expected = Resolution((Resolved("grid.example", (private,)),))
    assert answer(NAMED, names()) == Event("resolved", expected)


def test_an_address_behind_nat64_is_one(world: World) -> None:
    world.names["grid.example"] = [ip_address("64:ff9b::c633:6401")]
    assert answer(NAMED, names(Family.IPV6)).trigger == "resolved"


@pytest.mark.usefixtures("world")
def test_without_a_grid_the_asking_says_what_to_do() -> None:
    nowhere = Configuration(endpoints=("http://web.example",))
    assert answer(nowhere, names()) == Event("resolved", Resolution(()))
    assert answer(nowhere, endpoints()) == Event("endpoints_silent", reason=NO_GRID)


def test_other_endpoints_are_resolved_where_the_grid_cannot_be_or_several_must_answer(world: World) -> None:
    world.names["web.example"] = [ROUTER]
    with_web = evolve(NAMED, endpoints=("http://web.example",))
    assert answer(with_web, names()) == Event("resolved", Resolution((Resolved("web.example", (ROUTER,)),)))
    world.names["grid.example"] = [GRID]
    world.asked_names.clear()
    answer(with_web, names())
    assert [name for _, name, _ in world.asked_names] == ["grid.example"]
    both = answer(evolve(with_web, quorum=2), names()).data
    assert both == Resolution((Resolved("grid.example", (GRID,)), Resolved("web.example", (ROUTER,))))


def test_a_grid_that_answers_is_enough(world: World) -> None:
    assert answer(NAMED, endpoints()) == Event("endpoints_answer", reason="http://grid.example answers")
    assert world.asked == [("http://grid.example", (GRID,))]


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (ROUTER, "192.0.2.1 answers ARP but http://grid.example does not answer through it: no connection within 5 s"),
        (
            ip_address("fe80::1"),
            "fe80::1 answers neighbour discovery but http://grid.example does not answer through it: "
            "no connection within 5 s",
        ),
        (None, "http://grid.example does not answer: no connection within 5 s"),
    ],
)
def test_a_grid_that_is_silent_behind_a_gateway_that_is_not_says_so(
    world: World, gateway: Address | None, reason: str
) -> None:
    world.silence("http://grid.example")
    assert answer(NAMED, endpoints(gateway=gateway)) == Event("endpoints_silent", reason=reason)
    assert len(world.asked) == 2


@pytest.mark.parametrize(
    ("reach", "trigger"),
    [
        (Reach.PORTAL, "portal_found"),
        (Reach.TLS_FAULT, "tls_refused"),
        (Reach.NOT_THE_GRID, "endpoints_silent"),
    ],
)
def test_whoever_else_answers_is_told_by_name(world: World, reach: Reach, trigger: str) -> None:
    world.fail("http://grid.example", reach, "somebody else is there")
    assert answer(NAMED, endpoints()) == Event(trigger, reason="somebody else is there")


@pytest.mark.parametrize("reach", [Reach.PORTAL, Reach.TLS_FAULT, Reach.NOT_THE_GRID, Reach.SILENT])
def test_a_name_server_that_led_astray_is_blamed_before_whoever_is_there(world: World, reach: Reach) -> None:
    world.fail("http://grid.example", reach, "")
    world.lies[SERVER] = GRID
    reason = f"192.0.2.53 answers every name with {GRID}"
    assert answer(NAMED, endpoints()) == Event("names_lie", reason=reason)


def test_a_server_that_makes_up_other_addresses_has_not_led_astray(world: World) -> None:
    world.silence("http://grid.example")
    world.lies[SERVER] = ip_address("203.0.113.80")
    assert answer(NAMED, endpoints()).trigger == "endpoints_silent"


def test_no_name_server_is_to_blame_where_no_name_was_asked_for(world: World) -> None:
    world.silence(NUMBERED.grid_url)
    world.lies[SERVER] = GRID
    numbered = endpoints(Resolution((Resolved(str(GRID), (GRID,)),)))
    assert answer(NUMBERED, numbered).trigger == "endpoints_silent"


def test_another_endpoint_stands_in_for_a_grid_that_is_down(world: World) -> None:
    world.silence("http://grid.example")
    with_web = evolve(NAMED, endpoints=("http://web.example", "tcp://192.0.2.9:22", "http://grid.example/"))
    event = answer(with_web, endpoints())
    assert event.trigger == "endpoints_answer"
    assert "tcp://192.0.2.9:22 answers; http://grid.example does not answer: no connection within 5 s" in event.reason
    assert ("tcp://192.0.2.9:22", (ip_address("192.0.2.9"),)) in world.asked


@pytest.mark.usefixtures("world")
def test_too_few_answers_are_none_and_say_who_is_missing() -> None:
    with_web = evolve(NAMED, endpoints=("http://web.example",), quorum=2)
    event = answer(with_web, endpoints())
    reason = (
        "expected 2 endpoints to answer, found 1; http://web.example does not answer: 192.0.2.53 does not answer DNS"
    )
    assert event == Event("endpoints_silent", reason=reason)


def test_a_portal_at_another_endpoint_explains_a_silent_grid(world: World) -> None:
    world.silence("http://grid.example")
    world.fail("tcp://192.0.2.9:22", Reach.PORTAL, "a page of a captive portal")
    event = answer(evolve(NAMED, endpoints=("tcp://192.0.2.9:22",)), endpoints())
    assert event == Event("portal_found", reason="a page of a captive portal")


@pytest.mark.parametrize("reach", [Reach.SILENT, Reach.TLS_FAULT, Reach.NOT_THE_GRID])
def test_a_portal_on_the_plain_port_explains_a_secure_grid_that_fails(world: World, reach: Reach) -> None:
    world.fail("https://grid.example", reach, "no")
    secure = Configuration(grid_url="https://grid.example")
    assert answer(secure, endpoints()).trigger != "portal_found"
    world.fail("plain port of grid.example", Reach.PORTAL, "a page of a captive portal")
    assert answer(secure, endpoints()) == Event("portal_found", reason="a page of a captive portal")


def test_a_link_that_is_gone_is_a_silence_with_the_kernels_reason(world: World) -> None:
    gone = KernelError("open a TCP socket over eth1", "No such device")
    world.names["grid.example"] = gone
    world.reaches["http://grid.example"] = gone
    assert answer(NAMED, names()) == Event("names_silent", reason=str(gone))
    assert answer(NAMED, endpoints()) == Event("endpoints_silent", reason=str(gone))


def test_every_question_says_how_it_fails() -> None:
    edge = ReachabilityEdge(NAMED)
    assert edge.failures.keys() == edge.handlers.keys()


def resolving(story: Callable[[ReachabilityEdge], Any]) -> None:
    asyncio.run(story(ReachabilityEdge(NAMED)))


def test_what_the_uplinks_paths_have_found_out_serves_everybody(world: World) -> None:
    world.names["grid.example"] = [GRID]

    async def story(edge: ReachabilityEdge) -> None:
        await carried_out(edge, names(link="zos"))
        assert await edge.resolve("grid.example") == [str(GRID)]
        world.names["other.example"] = [ROUTER]
        assert await edge.resolve("other.example") == [str(ROUTER)]
        assert await edge.resolve("other.example") == [str(ROUTER)]

    resolving(story)
    assert world.asked_names == [("zos", "grid.example", 4), ("zos", "other.example", 4)]


def test_the_name_servers_of_a_nic_on_trial_are_nobody_elses(world: World) -> None:
    world.names["grid.example"] = [GRID]

    async def story(edge: ReachabilityEdge) -> None:
        await carried_out(edge, names())
        with pytest.raises(GridUnreachable, match=r"no name server is known to ask for grid\.example"):
            await edge.resolve("grid.example")

    resolving(story)


def test_an_old_address_serves_while_the_name_servers_are_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zosfsm.node.known_names.FRESH_SECONDS", -1.0)
    world.names["grid.example"] = [GRID]

    async def story(edge: ReachabilityEdge) -> None:
        await carried_out(edge, names(link="zos"))
        del world.names["grid.example"]
        assert await edge.resolve("grid.example") == [str(GRID)]
        with pytest.raises(GridUnreachable, match=r"192\.0\.2\.53 does not answer DNS"):
            await edge.resolve("other.example")

    resolving(story)


def test_the_family_that_leads_to_the_grid_is_tried_first_by_everybody(world: World) -> None:
    six = ip_address("2001:db8::1")
    resolution = Resolution((Resolved("grid.example", (six,)),))

    async def story(edge: ReachabilityEdge) -> None:
        world.names["grid.example"] = [GRID]
        await carried_out(edge, names(link="zos"))
        world.names["grid.example"] = [six]
        await carried_out(edge, names(Family.IPV6, "zos", (ip_address("2001:db8::53"),)))
        assert await edge.resolve("grid.example") == [str(GRID), str(six)]
        await carried_out(edge, endpoints(resolution, ip_address("fe80::1"), "zos"))
        assert await edge.resolve("grid.example") == [str(six), str(GRID)]

    resolving(story)


@pytest.mark.parametrize("url", ["", "http://192.0.2.1", "http://grid.example", "https://grid.example"])
def test_what_the_first_conversation_needs_can_be_loaded_beforehand(url: str) -> None:
    preload(Configuration(grid_url=url))


def test_authorities_that_cannot_be_loaded_beforehand_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(module, "trusted", missing)
    preload(Configuration(grid_url="https://192.0.2.1"))
    assert "authorities for TLS cannot be read" in caplog.text
