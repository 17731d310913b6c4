"""Pictures from graphviz's language DOT, drawn by its program dot."""

from __future__ import annotations

import re
import shutil
import subprocess

from zosfsm.cli.errors import CommandFailed

DRAWING_SECONDS = 60.0


def drawn(dot: str) -> str:
    """The graph as an SVG document, the same on every machine that has this graphviz. Raises CommandFailed."""
    program = shutil.which("dot")
    if program is None:
        raise CommandFailed("expected the program dot of graphviz, found none: install graphviz")
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=dot, capture_output=True, text=True, timeout=DRAWING_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        found = (getattr(error, "stderr", "") or str(error)).strip()
        raise CommandFailed(f"expected dot to draw, found: {found}") from error
    # graphviz names its version and build date in comments.
    return re.sub(r"<!--.*?-->\n?", "", done.stdout, flags=re.DOTALL).rstrip("\n") + "\n"
