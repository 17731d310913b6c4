"""What a node is told before it starts: a TOML file, the kernel command line, the environment. Starts nothing.

Strongest first: the environment variable ZOS_BCDB_URL, the kernel command line, the file, the defaults.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import cattrs
from attrs import field, frozen

from zosfsm.node.command_line import LARGEST_FARM_ID, is_grid_url, parse

STATE_DIRECTORY = Path("/var/lib/zosfsm")
RUN_DIRECTORY = Path("/run/zosfsm")
STATE_LINK = "state"
KERNEL_COMMAND_LINE = Path("/proc/cmdline")


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
class Configuration:
    """Everything that a node is told. `grid_url` "": none is known, and the node says so."""

    state_directory: Path = STATE_DIRECTORY
    run_directory: Path = RUN_DIRECTORY
    grid_url: str = ""
    farm_id: int = 0
    location: Location = field(factory=Location)
    debug: bool = False
    complaints: tuple[str, ...] = ()


@frozen
class _File:
    grid_url: str = ""
    farm_id: int = 0
    location: Location = field(factory=Location)


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
        debug=told.debug,
        complaints=told.complaints,
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


def _kernel_command_line() -> str:
    try:
        return KERNEL_COMMAND_LINE.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationInvalid(
            f"expected the kernel command line in {KERNEL_COMMAND_LINE}, found: {error.strerror}; "
            "give it with --cmdline"
        ) from error


def _read(file: Path | None) -> _File:
    if file is None:
        return _File()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        written = _CONVERTER.structure(table, _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationInvalid(f"{file} cannot be read as TOML: {error}") from error
    except cattrs.BaseValidationError as error:
        raise ConfigurationInvalid(f"{file}: {'; '.join(cattrs.transform_error(error))}") from error
    if not 0 <= written.farm_id <= LARGEST_FARM_ID:
        raise ConfigurationInvalid(f"{file}: farm_id is a whole number from 0 on, found {written.farm_id}")
    return written


def _checked_url(url: str) -> str:
    if url and not is_grid_url(url):
        raise ConfigurationInvalid(f"the grid's address is a URL such as http://192.0.2.1:8080, found {url[:80]!r}")
    return url.rstrip("/")


def _exactly(value: object, kind: type) -> object:
    """A number written as text, or true for 1, is a slip of the pen that nobody would notice."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {value!r}")
    return value


def _finite(value: object, _kind: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"expected a number, found {value!r}")
    return float(value)


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(str, _exactly)
_CONVERTER.register_structure_hook(int, _exactly)
_CONVERTER.register_structure_hook(float, _finite)
