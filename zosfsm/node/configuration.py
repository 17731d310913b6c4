"""What a node is told before it starts: a TOML file, the kernel command line, the environment. Starts nothing.

Strongest first: the environment variable ZOS_BCDB_URL, the kernel command line, the file, the defaults.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, field, frozen

from zosfsm.kernel.vlan import LARGEST_VLAN
from zosfsm.lifecycles.uplink_policy import UplinkPolicy
from zosfsm.node.command_line import LARGEST_FARM_ID, CommandLine, PublicMac, parse
from zosfsm.node.crash_switch import VARIABLE as CRASH_VARIABLE
from zosfsm.node.crash_switch import CrashPoint, crash_point
from zosfsm.node.endpoint_urls import is_endpoint_url, is_grid_url
from zosfsm.node.nic_references import nic_reference

if TYPE_CHECKING:
    from cattrs import Converter

STATE_DIRECTORY = Path("/var/lib/zosfsm")
RUN_DIRECTORY = Path("/run/zosfsm")
STATE_LINK = "state"
KERNEL_COMMAND_LINE = Path("/proc/cmdline")
SHORTEST_RECHECK = timedelta(seconds=1)


class ConfigurationInvalid(Exception):
    """The configuration says something that a node cannot follow; one sentence with the key."""


@frozen
class Location:
    """Where the farmer says that the node stands; published to the grid."""

    city: str = ""
    country: str = ""
    continent: str = ""
    latitude: float = 0.0
    longitude: float = 0.0


@frozen
class Limits:
    """What one user may have on the node at most: network resources, and peers in all of them together."""

    networks_per_user: int = 100
    peers_per_user: int = 5000


@frozen
class Configuration:
    """Everything that a node is told. `grid_url` "": none is known, and the node says so.

    `endpoints` are asked beside the grid, and `quorum` of them all, the grid among them, must answer.
    `public_vlan` None: the public interface is untagged, unless the farmer's configuration names a VLAN.
    `public_recheck`: how often the grid is asked for that, and the interface looked at.
    """

    state_directory: Path = STATE_DIRECTORY
    run_directory: Path = RUN_DIRECTORY
    grid_url: str = ""
    farm_id: int = 0
    location: Location = field(factory=Location)
    policy: UplinkPolicy = field(factory=UplinkPolicy)
    endpoints: tuple[str, ...] = ()
    quorum: int = 1
    public_vlan: int | None = None
    public_mac: PublicMac = PublicMac.RANDOM
    public_recheck: timedelta = timedelta(seconds=30)
    limits: Limits = field(factory=Limits)
    debug: bool = False
    complaints: tuple[str, ...] = ()
    crash: CrashPoint | Path | None = None


@frozen
class _Uplink:
    prefer: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    vlan: int | None = None
    quiet: timedelta = UplinkPolicy().quiet
    recheck: timedelta = UplinkPolicy().recheck
    endpoints: tuple[str, ...] = ()
    quorum: int = 1


@frozen
class _Public:
    recheck: timedelta = Configuration().public_recheck


@frozen
class _File:
    grid_url: str = ""
    farm_id: int = 0
    location: Location = field(factory=Location)
    uplink: _Uplink = field(factory=_Uplink)
    public: _Public = field(factory=_Public)
    limits: Limits = field(factory=Limits)


def configure(
    file: Path | None,
    state_directory: Path | None,
    run_directory: Path | None,
    command_line: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """Joins all sources; ConfigurationInvalid where the file cannot be followed."""
    written = _read(file)
    told = parse(command_line if command_line is not None else _kernel_command_line())
    return Configuration(
        state_directory=state_directory or STATE_DIRECTORY,
        run_directory=run_directory or RUN_DIRECTORY,
        grid_url=_checked_url(environment.get("ZOS_BCDB_URL") or told.grid_url or written.grid_url),
        farm_id=told.farm_id or written.farm_id,
        location=written.location,
        policy=_policy(written.uplink, told),
        endpoints=written.uplink.endpoints,
        quorum=written.uplink.quorum,
        public_vlan=told.public_vlan or None,
        public_mac=told.public_mac,
        public_recheck=written.public.recheck,
        limits=written.limits,
        debug=told.debug,
        complaints=told.complaints,
        crash=_crash(environment.get(CRASH_VARIABLE)),
    )


def point_to_state(configuration: Configuration) -> None:
    """Leaves a link in the run directory by which the other commands find the node's state. Raises OSError."""
    link = configuration.run_directory / STATE_LINK
    link.unlink(missing_ok=True)
    link.symlink_to(configuration.state_directory.absolute())


def state_of(run_directory: Path) -> Path:
    """The state directory of the node that ran last with this run directory; the usual one where none is known."""
    link = run_directory / STATE_LINK
    return link.readlink() if link.is_symlink() else STATE_DIRECTORY


def _crash(wish: str | None) -> CrashPoint | Path | None:
    try:
        return None if wish is None else crash_point(wish)
    except ValueError as error:
        raise ConfigurationInvalid(str(error)) from error


def _kernel_command_line() -> str:
    try:
        return KERNEL_COMMAND_LINE.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationInvalid(
            f"expected the kernel command line in {KERNEL_COMMAND_LINE}, found: {error.strerror}; "
            "give it with --cmdline"
        ) from error


def _policy(written: _Uplink, told: CommandLine) -> UplinkPolicy:
    # A NIC that one of them excludes is excluded; which one is tried first is the command line's to say.
    excluded = tuple(dict.fromkeys((*told.excluded, *_references(written.exclude))))
    preferred = dict.fromkeys((*told.preferred, *_references(written.prefer)))
    return UplinkPolicy(
        preferred=tuple(nic for nic in preferred if nic not in excluded),
        excluded=excluded,
        vlan=(written.vlan if told.vlan is None else told.vlan) or None,
        plans=told.plans,
        quiet=written.quiet,
        recheck=written.recheck,
    )


def _references(nics: tuple[str, ...]) -> list[str]:
    return [found for nic in nics if (found := nic_reference(nic)) is not None]


def _read(file: Path | None) -> _File:
    if file is None:
        return _File()
    # Most nodes have no file, and their NICs are not switched on before they are configured.
    import cattrs

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        written = _converter().structure(table, _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationInvalid(f"{file} cannot be read as TOML: {error}") from error
    except cattrs.BaseValidationError as error:
        raise ConfigurationInvalid(
            f"{file}: {'; '.join(cattrs.transform_error(error, format_exception=_told))}"
        ) from error
    if fault := _unusable(written):
        raise ConfigurationInvalid(f"{file}: {fault}")
    return written


def _unusable(written: _File) -> str:
    uplink = written.uplink
    if not 0 <= written.farm_id <= LARGEST_FARM_ID:
        return f"farm_id is a whole number from 0 on, found {written.farm_id}"
    if uplink.vlan is not None and not 1 <= uplink.vlan <= LARGEST_VLAN:
        return f"uplink.vlan is a VLAN from 1 to {LARGEST_VLAN}, found {uplink.vlan}"
    for nic in (*uplink.prefer, *uplink.exclude):
        if nic_reference(nic) is None:
            return f"uplink.prefer and uplink.exclude are names or MAC addresses of NICs, found {nic[:40]!r}"
    for url in uplink.endpoints:
        if not is_endpoint_url(url):
            return f"uplink.endpoints are URLs such as https://example.org or tcp://192.0.2.1:53, found {url[:80]!r}"
    if uplink.recheck < SHORTEST_RECHECK:
        return f"uplink.recheck is 1 s or more, found {uplink.recheck.total_seconds():g} s"
    if written.public.recheck < SHORTEST_RECHECK:
        return f"public.recheck is 1 s or more, found {written.public.recheck.total_seconds():g} s"
    for name, limit in asdict(written.limits).items():
        if limit < 0:
            return f"limits.{name} is a whole number from 0 on, found {limit}"
    most = 1 + len(uplink.endpoints)
    if not 1 <= uplink.quorum <= most:
        return f"uplink.quorum is from 1 to {most}, the grid and the endpoints together, found {uplink.quorum}"
    return ""


def _checked_url(url: str) -> str:
    if url and not is_grid_url(url):
        raise ConfigurationInvalid(f"the grid's address is a URL such as http://192.0.2.1:8080, found {url[:80]!r}")
    return url.rstrip("/")


class _Unfit(Exception):
    """What is wrong with a value, in words for whoever wrote it."""


def _told(error: BaseException, kind: type | None) -> str:
    from cattrs.v import format_exception

    return str(error) if isinstance(error, _Unfit) else format_exception(error, kind)


def _exactly(value: object, kind: type) -> object:
    """A number written as text, or true for 1, is a slip of the pen that nobody would notice."""
    if type(value) is not kind:
        raise _Unfit(f"expected {kind.__name__}, found {value!r}")
    return value


def _finite(value: object, _kind: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Unfit(f"expected a number, found {value!r}")
    return float(value)


def _texts(value: object, _kind: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _Unfit(f"expected a list of texts, found {value!r}")
    return tuple(value)


def _length(value: object, _kind: type) -> timedelta:
    from zosfsm.fsm.loading import duration

    if not isinstance(value, str):
        raise _Unfit(f'expected a duration such as "10 min", found {value!r}')
    try:
        return duration(value)
    except ValueError as error:
        raise _Unfit(str(error)) from error


def _converter() -> Converter:
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _exactly)
    converter.register_structure_hook(int, _exactly)
    converter.register_structure_hook(float, _finite)
    converter.register_structure_hook(timedelta, _length)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
    return converter
