"""The syntax tree of a CEL expression: as much of it as reckoning its cost takes."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text, truth or null; `size` in characters."""

    size: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, one bound by a macro, or a type."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.member`; `only_asks` within has()."""

    operand: "Node"
    member: str
    only_asks: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[index]`; `constant` is the text of a constant one."""

    operand: "Node"
    index: "Node"
    constant: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """A function or method of the tables above; `pattern` is what matches() looks for."""

    function: str
    arguments: tuple["Node", ...]
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of equal precedence with the operators between them; also the unary ones."""

    operators: tuple[str, ...]
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True)
class Literals:
    """A list, or a map with keys and values in turn."""

    items: tuple["Node", ...]
    is_map: bool


@dataclass(frozen=True, slots=True)
class Macro:
    """A loop: `over.kind(variable, *bodies)`; `span`: where `over` stands in the source."""

    kind: str
    over: "Node"
    variable: str
    bodies: tuple["Node", ...]
    span: tuple[int, int]


Node = Literal | Name | Select | Index | Call | Chain | Ternary | Literals | Macro


def children(node: Node) -> tuple[Node, ...]:  # noqa: PLR0911 (a table)
    """Return the nodes right below `node`."""
    match node:
        case Select(operand):
            return (operand,)
        case Index(operand, index):
            return (operand, index)
        case Call(_, arguments):
            return arguments
        case Chain(_, operands):
            return operands
        case Ternary(condition, yes, no):
            return (condition, yes, no)
        case Literals(items):
            return items
        case Macro(over=over, bodies=bodies):
            return (over, *bodies)
    return ()


def every(node: Node) -> Iterator[Node]:
    """Yield `node` and all nodes below it."""
    yield node
    for child in children(node):
        yield from every(child)
