"""What a node is told before it starts: a TOML file, the kernel command line, the environment. Starts nothing.

Strongest first: the environment variable ZOS_BCDB_URL, the kernel command line, the file, the defaults.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import cattrs
from attrs import field, frozen

from zosfsm.node.command_line import parse

STATE_DIRECTORY = Path("/var/lib/zosfsm")
RUN_DIRECTORY = Path("/run/zosfsm")
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


def _kernel_command_line() -> str:
    return KERNEL_COMMAND_LINE.read_text(encoding="utf-8", errors="replace")


def _read(file: Path | None) -> _File:
    if file is None:
        return _File()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        return cattrs.Converter(forbid_extra_keys=True).structure(table, _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationInvalid(f"{file} cannot be read as TOML: {error}") from error
    except cattrs.BaseValidationError as error:
        raise ConfigurationInvalid(f"{file}: {'; '.join(cattrs.transform_error(error))}") from error


def _checked_url(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationInvalid(f"the grid's address is a URL such as http://192.0.2.1:8080, found {url!r}")
    return url.rstrip("/")
