"""A planned network as a picture: Mermaid for pages that draw it themselves, DOT for graphviz. Shows no private key.

Solid: direct, the arrow points at who is dialled. Dashed: over a LAN, with the relay as fallback. Dotted: by a relay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import combinations

from attrs import frozen

from zosfsm.mesh.plans import Family, MeshPlan, PairPlan, PathKind, Role
from zosfsm.mesh.text import short_names

_INK = "#22272b"
_FONT = "Helvetica,Arial,sans-serif"


class _Arrow(Enum):
    """Who dials along a link, as graphviz calls it; a path by a relay has no dialling of its own."""

    BACK = "back"
    FORTH = "forward"
    BOTH = "both"
    NONE = "none"


@frozen
class _Box:
    """A node or an access; `lines` from top to bottom, the name first."""

    name: str
    kind: str
    lines: tuple[str, ...]


@frozen
class _Link:
    """Both directions between two boxes; the source is drawn above the target, or beside it."""

    source: str
    target: str
    arrow: _Arrow
    kind: str
    label: str


@frozen
class _Look:
    line: str
    graphviz: str
    mermaid: str


_ACCESS = "access"
_FAMILIES = {family.value for family in Family}
_BOXES = {
    "relay": ("#fff3cd", "#b8860b"),
    "public": ("#dcf3df", "#2f8f46"),
    "hidden": ("#eceef0", "#8b959e"),
    _ACCESS: ("#fdebdd", "#c0561c"),
}
_LOOKS = {
    Family.IPV6.value: _Look("#1f6fd1", "solid", "stroke-width:2px"),
    Family.IPV4.value: _Look("#2f8f46", "solid", "stroke-width:2px"),
    PathKind.LAN.value: _Look("#8a4bbf", "dashed", "stroke-width:2px,stroke-dasharray:9 5"),
    PathKind.RELAYED.value: _Look("#59636b", "dotted", "stroke-width:1.5px,stroke-dasharray:2 5"),
    _ACCESS: _Look("#c0561c", "solid", "stroke-width:2px"),
}
_LEGEND = (
    "solid: direct (blue IPv6, green IPv4) to who is dialled; dashed: LAN, else by the relay; dotted: by the relay"
)


def mesh_mermaid(plan: MeshPlan) -> str:
    """The network as a Mermaid flow chart."""
    boxes, links = _boxes(plan), _links(plan)
    signs = {name: f"n{number}" for number, name in enumerate(boxes)}
    lines = ["---", f"title: {_mermaid_text(f'{_title(plan)} ({_LEGEND})')}", "---", "flowchart TB"]
    lines += [_mermaid_box(signs[name], box) for name, box in boxes.items()]
    lines += [_mermaid_link(link, signs) for link in links]
    lines += [f"  classDef {kind} fill:{fill},stroke:{line},color:{_INK}" for kind, (fill, line) in _BOXES.items()]
    lines += _mermaid_looks(links)
    return "\n".join(lines) + "\n"


def mesh_dot(plan: MeshPlan) -> str:
    """The network in DOT: who joins from outside above, public nodes in the middle, hidden ones below."""
    lines = [f"digraph {_quoted(plan.name)} {{", *_settings(plan)]
    lines += [_box(box) for box in _boxes(plan).values()]
    lines += [_rank(resource.node_id for resource in plan.resources if resource.role is not Role.HIDDEN)]
    lines += [_rank(resource.node_id for resource in plan.resources if resource.role is Role.HIDDEN)]
    lines += [_edge(link) for link in _links(plan)]
    return "\n".join([*lines, "}"]) + "\n"


def _boxes(plan: MeshPlan) -> dict[str, _Box]:
    names = short_names(plan)
    boxes = [
        _Box(node.node_id, node.role.name.lower(), (names[node.node_id], node.role.value, str(node.subnet)))
        for node in plan.resources
    ]
    boxes += [_Box(one.name, _ACCESS, (one.name, _ACCESS, str(one.subnet))) for one in plan.access]
    return {box.name: box for box in boxes}


def _links(plan: MeshPlan) -> list[_Link]:
    names = short_names(plan) if len(plan.relays) > 1 else {}
    # Relays first, hidden nodes last: so the picture has its levels.
    order = sorted(plan.resources, key=lambda resource: _LEVELS[resource.role])
    paths = {(pair.source, pair.target): pair for pair in plan.pairs}
    links = [
        _link(paths[upper.node_id, lower.node_id], paths[lower.node_id, upper.node_id], names)
        for upper, lower in combinations(order, 2)
    ]
    return [_Link(one.name, one.through, _Arrow.FORTH, _ACCESS, "") for one in plan.access] + links


_LEVELS = {Role.RELAY: 0, Role.PUBLIC: 1, Role.HIDDEN: 2}


def _link(pair: PairPlan, back: PairPlan, names: Mapping[str, str]) -> _Link:
    arrows = {(True, True): _Arrow.BOTH, (True, False): _Arrow.FORTH, (False, True): _Arrow.BACK}
    arrow = arrows.get((pair.endpoint is not None, back.endpoint is not None), _Arrow.NONE)
    kind = pair.family.value if pair.family else pair.kind.value
    return _Link(pair.source, pair.target, arrow, kind, _label(pair, names))


def _label(pair: PairPlan, names: Mapping[str, str]) -> str:
    """Short, so that many of them find a place; `names` is empty where one relay is all there is."""
    if pair.family:
        return pair.family.value
    relay = names.get(pair.relay or "", "")
    if pair.kind is PathKind.RELAYED:
        return f"by {relay}" if relay else ""
    return f"LAN, else {relay}" if relay else "LAN" if pair.relay else "LAN only"


def _title(plan: MeshPlan) -> str:
    return f"{plan.name}, {plan.range}"


def _mermaid_box(sign: str, box: _Box) -> str:
    return f"  {sign}[{_mermaid_text('<br/>'.join(box.lines))}]:::{box.kind}"


def _mermaid_link(link: _Link, signs: Mapping[str, str]) -> str:
    source, target = signs[link.source], signs[link.target]
    # Mermaid has no arrow that points back.
    if link.arrow is _Arrow.BACK:
        source, target = target, source
    label = f"|{_mermaid_text(link.label)}|" if link.label else ""
    return f"  {source} {_MERMAID_ARROWS[link.arrow]}{label} {target}"


_MERMAID_ARROWS = {_Arrow.FORTH: "-->", _Arrow.BACK: "-->", _Arrow.BOTH: "<-->", _Arrow.NONE: "---"}


def _mermaid_looks(links: Sequence[_Link]) -> Iterable[str]:
    for kind, look in _LOOKS.items():
        numbers = [str(number) for number, link in enumerate(links) if link.kind == kind]
        if numbers:
            yield f"  linkStyle {','.join(numbers)} stroke:{look.line},{look.mermaid}"


def _mermaid_text(text: str) -> str:
    # Between quotes Mermaid still reads these; a name may hold any printable character.
    for sign, harmless in (('"', "'"), ("#", "no. "), (";", ","), ("\\", "/"), ("`", "'")):
        text = text.replace(sign, harmless)
    return f'"{text}"'


def _settings(plan: MeshPlan) -> Iterable[str]:
    label = f"{_escaped(_title(plan))}\\n{_LEGEND}"
    return (
        f'  graph [rankdir=TB labelloc=t nodesep=0.8 ranksep=1.2 pad=0.3 label="{label}"'
        f" fontname={_quoted(_FONT)} fontsize=13 fontcolor={_quoted(_INK)}];",
        f'  node [shape=box style="filled,rounded" fontname={_quoted(_FONT)} fontsize=12 fontcolor={_quoted(_INK)}];',
        f"  edge [fontname={_quoted(_FONT)} fontsize=9 arrowsize=0.7];",
    )


def _box(box: _Box) -> str:
    fill, line = (_quoted(colour) for colour in _BOXES[box.kind])
    label = "\\n".join(_escaped(one) for one in box.lines)
    return f'  {_quoted(box.name)} [label="{label}" fillcolor={fill} color={line}];'


def _rank(names: Iterable[str]) -> str:
    return f"  {{rank=same; {' '.join(f'{_quoted(name)};' for name in names)}}}"


def _edge(link: _Link) -> str:
    look = _LOOKS[link.kind]
    ink = _quoted(look.line)
    # Its colour says the family, and a label takes so much room that graphviz bends the line around it.
    label = "" if link.kind in _FAMILIES else f" fontcolor={ink} label={_quoted(link.label)}"
    return (
        f"  {_quoted(link.source)} -> {_quoted(link.target)} [dir={link.arrow.value} style={look.graphviz} color={ink}"
        f"{label}];"
    )


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
