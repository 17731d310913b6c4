"""What `zosfsm mesh` draws: the network as Mermaid and by graphviz, an access's configuration as a QR code."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

from zosfsm.cli.errors import DONE, CommandFailed
from zosfsm.cli.svg import drawn
from zosfsm.mesh.drawing import mesh_dot, mesh_mermaid
from zosfsm.mesh.plans import MeshPlan


def draw(plan: MeshPlan, svg: Path | None) -> int:
    """Mermaid on standard output, once the SVG that was wished for is written."""
    if svg is not None:
        picture = drawn(mesh_dot(plan))
        try:
            svg.write_text(picture, encoding="utf-8")
        except OSError as wrong:
            raise CommandFailed(f"expected to write {svg}, found: {wrong.strerror}.") from wrong
    print(mesh_mermaid(plan), end="")
    return DONE


def draw_code(text: str) -> None:
    """A wg-quick configuration as a QR code in the terminal, for the camera of a telephone."""
    from segno import DataOverflowError, make_qr

    # Comments are for people, and a smaller code is easier to read for a camera.
    content = "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))
    try:
        code = make_qr(content, error="L", boost_error=False)
    except DataOverflowError:
        found = f"{len(content)} bytes"
        raise CommandFailed(
            f"expected a configuration that fits into a QR code (2953 bytes), found {found}: use --out FILE."
        ) from None
    code_text = StringIO()
    code.terminal(code_text, compact=True)
    # White on black whatever the terminal's colours are: few cameras read an inverted code.
    form = "\x1b[97;40m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    print("\n".join(form.format(line) for line in code_text.getvalue().splitlines()))
