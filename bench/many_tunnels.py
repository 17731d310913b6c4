"""Room for a thousand wireguard-go, where the machine allows fewer to one user. The machine itself is not touched.

Each takes one inotify instance, and fs.inotify.max_user_instances (inotify(7), 128 by default) counts them by user. So
here they run under many users' numbers, each with what root may do to links, /dev/net/tun and its socket.
"""

from __future__ import annotations

import os
from pathlib import Path

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_SPARE = 20
_FIRST_USER = 20_000
# The device's name is the last word, and its last letter, one of 58, says under which number it runs.
_PROGRAM = f"""#!/bin/sh
for name; do :; done
user=$(({_FIRST_USER} + $(printf %d "'${{name#"${{name%?}}"}}")))
may=+net_admin,+dac_override
PATH=${{PATH#*:}} exec setpriv --reuid=$user --clear-groups --inh-caps=$may --ambient-caps=$may wireguard-go "$@"
"""


def make_room(networks: int, directory: Path) -> bool:
    """From now on `wireguard-go` is found in `directory`, where there would be too few otherwise; says whether so."""
    if networks + _SPARE <= int(_LIMIT.read_text(encoding="ascii")):
        return False
    program = directory / "bin" / "wireguard-go"
    program.parent.mkdir()
    program.write_text(_PROGRAM, encoding="ascii")
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}:{os.environ.get('PATH', os.defpath)}"
    return True
