"""A chart as a drawing: Mermaid's stateDiagram-v2 for documents, indented text for terminals.

Both show every state in its parent, every transition with its event, how many manifests are in
each state, and which leaves are active. `counts` goes by the id of a leaf; a state that it does
not name has no manifests.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from protocol.statechart.compiled import Chart, Node
from protocol.statechart.definition import NodeType

_INDENT: Final = "    "
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_]")  # Mermaid reads neither `.` nor `-` in an id.
_PLAIN_ID: Final = re.compile(r"(?!s[0-9]+_)[A-Za-z_][A-Za-z0-9_]*")  # Not one that we make up.
_RESERVED: Final = frozenset(  # Words of Mermaid's own, in either case.
    [
        "accdescr",
        "acctitle",
        "as",
        "class",
        "classdef",
        "click",
        "default",
        "direction",
        "end",
        "hide",
        "note",
        "root",
        "scale",
        "state",
        "style",
    ]
)


def mermaid(chart: Chart, counts: Mapping[str, int], active: Collection[str] = ()) -> str:
    """Return `chart` as a Mermaid `stateDiagram-v2`; the leaves in `active` have class `active`."""
    root = chart.root
    lines = ["stateDiagram-v2"]
    if root.on:  # Else its frame says nothing.
        lines += _mermaid_node(root, counts, _INDENT)
    else:
        lines += _mermaid_children(root, counts, _INDENT)
    lines += [
        f"{_INDENT}{_mermaid_id(transition.source)} --> {_mermaid_id(target)} : {transition.event or 'always'}"
        for transition in chart.transitions
        for target in transition.targets or (transition.source,)
    ]
    marked = [_mermaid_id(chart.nodes[leaf]) for leaf in sorted(active) if leaf in chart.nodes]
    if marked:
        lines.append(f"{_INDENT}classDef active font-weight:bold,stroke-width:3px")
        lines.append(f"{_INDENT}class {','.join(marked)} active")
    return "\n".join(lines) + "\n"


def _mermaid_id(node: Node) -> str:
    if _PLAIN_ID.fullmatch(node.id) and node.id.lower() not in _RESERVED:
        return node.id
    return f"s{node.order}_{_UNSAFE.sub('_', node.id)}"


def _mermaid_node(node: Node, counts: Mapping[str, int], indent: str) -> Iterator[str]:
    opening = f'{indent}state "{_label(node, counts)}" as {_mermaid_id(node)}'
    if node.is_leaf:
        yield opening
        return
    yield f"{opening} {{"
    yield from _mermaid_children(node, counts, indent + _INDENT)
    yield f"{indent}}}"


def _mermaid_children(node: Node, counts: Mapping[str, int], indent: str) -> Iterator[str]:
    for first in node.initial:
        yield f"{indent}[*] --> {_mermaid_id(first)}"
    for child in node.children:
        if node.type is NodeType.PARALLEL and child is not node.children[0]:
            yield f"{indent}--"
        yield from _mermaid_node(child, counts, indent)
        if child.type is NodeType.FINAL:
            yield f"{indent}{_mermaid_id(child)} --> [*]"


def text(chart: Chart, counts: Mapping[str, int], active: Collection[str] = ()) -> str:
    """Return `chart` as indented text; `>` stands before the leaves in `active`."""
    return "\n".join(_text_node(chart.root, counts, active, "")) + "\n"


def _text_node(
    node: Node, counts: Mapping[str, int], active: Collection[str], indent: str
) -> Iterator[str]:
    parent = node.ancestors[0] if node.ancestors else None
    notes = [
        *(["initial"] if parent is not None and node in parent.initial else []),
        *([node.type.value] if node.type in (NodeType.PARALLEL, NodeType.FINAL) else []),
    ]
    mark = ">" if node.is_leaf and node.id in active else " "
    yield " ".join([f"{mark}{indent} {_label(node, counts)}", *notes])
    for transition in (*node.on, *node.always):
        targets = " + ".join(target.id for target in transition.targets) or "(stays)"
        yield f"  {indent}{_INDENT}{transition.event or 'always'} -> {targets}"
    for child in node.children:
        yield from _text_node(child, counts, active, indent + "  ")


def _label(node: Node, counts: Mapping[str, int]) -> str:
    return f"{node.id} ({_count(node, counts)})"


def _count(node: Node, counts: Mapping[str, int]) -> int:
    if node.is_leaf:
        return counts.get(node.id, 0)
    below = [_count(child, counts) for child in node.children]
    # A manifest in a parallel state is in each of its regions.
    return max(below) if node.type is NodeType.PARALLEL else sum(below)
