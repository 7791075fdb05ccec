"""A chart as a drawing: Mermaid's stateDiagram-v2 for documents, indented text for terminals.

Both show every state in its parent, every transition with its event and guard (`approve
[four_eyes]`, `after 14d`, `always`, `done`), how many manifests are in each state, and which leaves
are active. `counts` goes by the id of a leaf; a state that it does not name has no manifests; None:
nobody counted, none are shown.
History states are drawn as `H` or, deep ones, `H*`, with where they lead at first.

Not here: how a guard reads (`guards.py`).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from protocol.lifecycle.delays import format_delay
from protocol.lifecycle.guards import GuardForm, describe
from protocol.statechart.compiled import DONE, Chart, Node, Transition
from protocol.statechart.definition import NodeType

_INDENT: Final = "    "
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_]")  # Mermaid reads neither `.` nor `-` in an id.
_PLAIN_ID: Final = re.compile(r"(?!s[0-9]+_)[A-Za-z_][A-Za-z0-9_]*")  # Not one that we make up.
_TO_ENCODE: Final = re.compile(r"[#;&<>\"\x00-\x1f\x7f]")  # It would end a label, or be HTML.
_GUARD_SIZE_MAX: Final = 80  # Characters shown: an edge's label is no place for a policy.
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


Counts = Mapping[str, int] | None


def mermaid(chart: Chart, counts: Counts, active: Collection[str] = ()) -> str:
    """Return `chart` as a Mermaid `stateDiagram-v2`; the leaves in `active` have class `active`."""
    root = chart.root
    lines = ["stateDiagram-v2"]
    if root.on or root.always:  # Else its frame says nothing.
        lines += _mermaid_node(root, counts, _INDENT)
    else:
        lines += _mermaid_children(root, counts, _INDENT)
    lines += [
        f"{_INDENT}{_mermaid_id(one.source)} --> {_mermaid_id(target)} : {_encoded(_way(one))}"
        for one in chart.transitions
        for target in one.targets or (one.source,)
    ]
    lines += [
        f"{_INDENT}{_mermaid_id(node)} --> {_mermaid_id(target)}"
        for node in chart.nodes.values()
        if node.default is not None
        for target in node.default.targets
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


def _encoded(text: str) -> str:
    """Return `text` with what Mermaid would take for its own as its entities (`#59;`)."""
    return _TO_ENCODE.sub(lambda found: f"#{ord(found[0])};", text)


def _mermaid_node(node: Node, counts: Counts, indent: str) -> Iterator[str]:
    opening = f'{indent}state "{_encoded(_label(node, counts))}" as {_mermaid_id(node)}'
    if not node.children:
        yield opening
        return
    yield f"{opening} {{"
    yield from _mermaid_children(node, counts, indent + _INDENT)
    yield f"{indent}}}"


def _mermaid_children(node: Node, counts: Counts, indent: str) -> Iterator[str]:
    for first in node.initial:
        yield f"{indent}[*] --> {_mermaid_id(first)}"
    for history in node.histories:
        yield from _mermaid_node(history, counts, indent)
    for child in node.children:
        if node.type is NodeType.PARALLEL and child is not node.children[0]:
            yield f"{indent}--"
        yield from _mermaid_node(child, counts, indent)
        if child.type is NodeType.FINAL:
            yield f"{indent}{_mermaid_id(child)} --> [*]"


def text(chart: Chart, counts: Counts, active: Collection[str] = ()) -> str:
    """Return `chart` as indented text; `>` stands before the leaves in `active`."""
    return "\n".join(_text_node(chart.root, counts, active, "")) + "\n"


def _text_node(node: Node, counts: Counts, active: Collection[str], indent: str) -> Iterator[str]:
    parent = node.ancestors[0] if node.ancestors else None
    notes = [
        *(["initial"] if parent is not None and node in parent.initial else []),
        *([node.type.value] if node.type in (NodeType.PARALLEL, NodeType.FINAL) else []),
    ]
    mark = ">" if node.is_leaf and node.id in active else " "
    yield " ".join([f"{mark}{indent} {_label(node, counts)}", *notes])
    if node.default is not None:
        yield f"  {indent}{_INDENT}at first -> {_targets(node.default)}"
    for transition in (*node.on, *node.always):
        yield f"  {indent}{_INDENT}{_way(transition)} -> {_targets(transition)}"
    for child in (*node.histories, *node.children):
        yield from _text_node(child, counts, active, indent + "  ")


def _targets(transition: Transition) -> str:
    return " + ".join(target.id for target in transition.targets) or "(stays)"


def _way(transition: Transition) -> str:
    """Return when a transition is taken: its event, delay, `done` or `always`, and its guard."""
    if transition.delay_ms is not None:
        when = f"after {format_delay(transition.delay_ms)}"
    elif transition.event.startswith(DONE):
        state = transition.event.removeprefix(DONE)
        when = "done" if state == transition.source.id else f"{state} done"
    else:
        when = transition.event or "always"
    if transition.guard is None:
        return when
    guard = transition.guard
    said = describe(guard) if isinstance(guard, GuardForm) else " ".join(str(guard).split())
    return f"{when} [{said if len(said) <= _GUARD_SIZE_MAX else said[: _GUARD_SIZE_MAX - 1] + '…'}]"


def _label(node: Node, counts: Counts) -> str:
    if node.type is NodeType.HISTORY:
        return f"{node.id} ({'H*' if node.is_deep else 'H'})"
    if counts is None:
        return node.id
    return f"{node.id} ({_count(node, counts)})"


def _count(node: Node, counts: Mapping[str, int]) -> int:
    if node.is_leaf:
        return counts.get(node.id, 0)
    below = [_count(child, counts) for child in node.children]
    # A manifest in a parallel state is in each of its regions.
    return max(below) if node.type is NodeType.PARALLEL else sum(below)
