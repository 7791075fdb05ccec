"""What evaluating an expression costs at most, reckoned before it is evaluated.

Nobody can stop the extension once it runs, so the syntax tree is walked first with the values that
it will meet: each node stands for a `Shape`, all values that it may have, or how large they get.
A loop costs its body times the longest list it may run over. Costs are steps of 100 ns, from
measurements and rounded up: converting a value to CEL and copying a map are what is dear.

Promise:  `reckon` raises `TooCostlyError` unless evaluation fits into the allowance; itself it looks
          at `WALKED_MAX` values at most.
Assume:   syntax trees are small (`cel_syntax`); values are JSON's, as deep as `limits.DEPTH_MAX`.
Not here: whether the expression is any good. What would fail costs less than what would not.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from protocol.errors import ManifestdError
from protocol.lifecycle import cel_tree as tree
from protocol.lifecycle.cel_syntax import plain_text
from protocol.lifecycle.patterns import compile_cost, run_cost

STEPS_MAX: Final = 300_000  # 30 ms.
WALKED_MAX: Final = 50_000  # Values looked at while reckoning: 5 ms.

_NODE: Final = 2
_TURN: Final = 5  # Of a loop.
# For each unit of weight: a number weighs 1, a text, list, map or key 4.
_CONVERSION: Final = 3  # To CEL or back.
_COPY: Final = 2  # The extension copies what is selected, collected or added.
_AGAIN: Final = 2  # In the list that map() or filter() makes, for each element that follows.
_CONTAINER: Final = 4
_TEXT_PART: Final = 64  # Characters of a text that weigh 1 more.


class TooCostlyError(ManifestdError):
    """An expression would take too long with these values."""


class UnorderedError(ManifestdError):
    """An expression asks for an order where there is none: its value would be chance's."""


class Allowance:
    """What the guards of one question may cost together."""

    __slots__ = ("steps", "walks")

    def __init__(self, steps: int = STEPS_MAX, walks: int = WALKED_MAX) -> None:
        self.steps = steps
        self.walks = walks

    def spend(self, steps: int) -> None:
        """Take `steps` off; `TooCostlyError` when there are not as many left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooCostlyError("it would take too long with this document")

    def walk(self, values: int) -> None:
        """Take a look at `values` off."""
        self.walks -= values
        if self.walks < 0:
            raise TooCostlyError("the document is too large for it")


def _length(value: object) -> int:
    return len(value) if isinstance(value, dict | list) else 0


class Shape:
    """What a node may be: one of `values`, or (None) computed, of `parts` taken `times`.

    `length`: how often a loop over it turns; `element`: what the loop then sees.
    """

    __slots__ = ("_weight", "element", "is_map", "length", "parts", "times", "values")

    def __init__(
        self,
        values: Sequence[object] | None = None,
        *,
        parts: "Sequence[Shape]" = (),
        times: int = 1,
        length: int = 0,
        element: "Shape | None" = None,
        is_map: bool = False,
    ) -> None:
        self.values = values
        self.parts = parts
        self.times = times
        self.length = length
        self.element = element
        self.is_map = is_map
        self._weight: int | None = None
        if values is not None:
            self.is_map = any(isinstance(value, dict) for value in values)
            self.length = max(map(_length, values), default=0)

    def weight(self, allowance: Allowance) -> int:
        """Return what the largest of it weighs (see `weigh`)."""
        if self._weight is None:
            if self.values is None:
                self._weight = _CONTAINER + self.times * sum(
                    part.weight(allowance) for part in self.parts
                )
            else:
                self._weight = max((weigh(one, allowance) for one in self.values), default=1)
        return self._weight


SCALAR: Final = Shape(())


def weigh(value: object, allowance: Allowance) -> int:
    """Return how much `value` is to convert or to copy, all that is in it included."""
    weight, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            weight += _CONTAINER + len(one) // _TEXT_PART
        elif isinstance(one, list):
            allowance.walk(len(one))
            weight += _CONTAINER
            waiting.extend(one)
        elif isinstance(one, dict):
            allowance.walk(2 * len(one))
            weight += _CONTAINER
            waiting.extend(one)
            waiting.extend(one.values())
        else:
            weight += 1
    return weight


def _within(shape: Shape) -> Shape:
    """Return the shape of anything that is in a computed value."""
    return shape.element or Shape(parts=shape.parts, length=shape.length, is_map=True)


def reckon(node: tree.Node, variables: Mapping[str, object], allowance: Allowance) -> bool:
    """Spend what evaluating `node` takes off `allowance`; tell whether a loop may meet a map."""
    reckoning = _Reckoning(allowance, {name: Shape((value,)) for name, value in variables.items()})
    for shape in reckoning.names.values():
        allowance.spend(_CONVERSION * shape.weight(allowance))
    result = reckoning.shape(node)
    allowance.spend(_CONVERSION * result.weight(allowance))
    return reckoning.meets_map


class _Reckoning:
    def __init__(self, allowance: Allowance, names: dict[str, Shape]) -> None:
        self.allowance = allowance
        self.names = names
        self.meets_map = False
        self._turns = 1

    def shape(self, node: tree.Node) -> Shape:  # noqa: PLR0911 (a table)
        """Spend what `node` takes; return what may come out."""
        self._spend(_NODE)
        match node:
            case tree.Literal(size):
                return Shape(("x" * size,))
            case tree.Name(name):
                return self.names.get(name, SCALAR)
            case tree.Select(operand, member, only_asks):
                found = self._member(self.shape(operand), member)
                return SCALAR if only_asks else self._copied(found)
            case tree.Index(operand, index, constant):
                of = self.shape(operand)
                self._weighing(self.shape(index))
                return self._copied(self._indexed(of, constant))
            case tree.Call():
                return self._call(node)
            case tree.Chain(operators, operands):
                return self._chain(operators, operands)
            case tree.Ternary(condition, yes, no):
                self.shape(condition)
                return self._copied(self._either(self.shape(yes), self.shape(no)))
            case tree.Literals(items, is_map):
                return self._literals(items, is_map=is_map)
            case tree.Macro():
                return self._macro(node)

    def _spend(self, steps: int) -> None:
        self.allowance.spend(steps * self._turns)

    def _weight(self, shape: Shape) -> int:
        return shape.weight(self.allowance)

    def _weighing(self, shape: Shape) -> None:
        self._spend(self._weight(shape))

    def _copied(self, shape: Shape) -> Shape:
        self._spend(_COPY * self._weight(shape))
        return shape

    def _collected(self, values: Iterable[object]) -> Shape:
        collected = tuple(islice(values, self.allowance.walks + 1))
        self.allowance.walk(len(collected))
        return Shape(collected)

    def _member(self, of: Shape, member: str) -> Shape:
        if of.values is None:
            return _within(of)
        self.allowance.walk(len(of.values))
        return Shape([one[member] for one in of.values if isinstance(one, dict) and member in one])

    def _indexed(self, of: Shape, constant: str | None) -> Shape:
        if constant is not None and constant.isdecimal() and of.values is not None:
            at = int(constant)
            self.allowance.walk(len(of.values))
            if not of.is_map:
                lists = (one for one in of.values if isinstance(one, list))
                return Shape([one[at] for one in lists if at < len(one)])
        member = plain_text(constant)
        if member is not None and of.values is not None:
            return self._member(of, member)
        if of.values is None:
            return _within(of)
        return self._collected(
            chain.from_iterable(
                one.values() if isinstance(one, dict) else one
                for one in of.values
                if isinstance(one, dict | list)
            )
        )

    def _elements(self, of: Shape) -> Shape:
        if of.values is None:
            return _within(of)
        return self._collected(
            chain.from_iterable(one for one in of.values if isinstance(one, dict | list))
        )

    def _call(self, node: tree.Call) -> Shape:
        arguments = [self.shape(argument) for argument in node.arguments]
        if node.pattern is not None:
            self._spend(compile_cost(node.pattern))
            size = _TEXT_PART * self._weight(arguments[0])
            self._spend(run_cost(node.pattern, size))
        elif node.function == "dyn":
            return self._copied(arguments[0])
        elif node.function != "size":
            for argument in arguments:
                self._weighing(argument)
        if node.function in ("string", "bytes"):
            return Shape(parts=arguments)
        return SCALAR

    def _chain(self, operators: tuple[str, ...], operands: tuple[tree.Node, ...]) -> Shape:
        shapes = [self.shape(operand) for operand in operands]
        if {"&&", "||"} & {*operators}:
            return SCALAR
        if len(shapes) == 1:
            return SCALAR
        if "+" in operators:
            for operand, shape in zip(operands, shapes, strict=True):
                is_written = isinstance(operand, tree.Literals) and operand.is_map
                if is_written or (shape.values is not None and shape.is_map):
                    raise UnorderedError("a map has no order, so that it cannot be added")
            made = shapes[0]
            for other in shapes[1:]:
                made = Shape(
                    parts=(made, other),
                    length=made.length + other.length,
                    element=self._either(self._inner(made), self._inner(other)),
                )
                self._spend(_COPY * self._weight(made))
            return made
        for left, operator, right in zip(shapes, operators, shapes[1:], strict=False):
            if operator == "in":
                compared = right.length * self._weight(left) // _CONTAINER + 1
            else:
                compared = self._weight(left)
            self._spend(min(compared, self._weight(right)))
        return SCALAR

    def _either(self, one: Shape, other: Shape) -> Shape:
        """Return the shape of what may be one or the other."""
        if one is other:
            return one
        if one.values is not None and other.values is not None:
            return self._collected(chain(one.values, other.values))
        return Shape(
            parts=(one, other),
            length=max(one.length, other.length),
            is_map=one.is_map or other.is_map,
        )

    def _inner(self, of: Shape) -> Shape:
        return self._elements(of) if of.length else SCALAR

    def _literals(self, items: tuple[tree.Node, ...], *, is_map: bool) -> Shape:
        shapes = [self.shape(item) for item in items]
        element = SCALAR
        for shape in shapes:
            element = self._either(element, shape)
        made = Shape(parts=shapes, length=len(shapes), element=element, is_map=is_map)
        self._spend(_COPY * self._weight(made))
        return made

    def _macro(self, node: tree.Macro) -> Shape:
        over = self.shape(node.over)
        makes_list = node.kind in ("map", "filter")
        if over.is_map:
            self.meets_map = True
            self._spend(2 * _CONVERSION * self._weight(over))
        element = self._elements(over) if over.length else SCALAR
        outer_turns, outer = self._turns, self.names.get(node.variable)
        self._turns *= over.length
        self._spend(_TURN)
        self.names[node.variable] = element
        made = [self.shape(body) for body in node.bodies][-1] if over.length else SCALAR
        self._turns = outer_turns
        if outer is None:
            del self.names[node.variable]
        else:
            self.names[node.variable] = outer
        if not makes_list:
            return SCALAR
        kept = element if node.kind == "filter" else made
        result = Shape(parts=(kept,), times=over.length, length=over.length, element=kept)
        self._spend(over.length * _AGAIN * self._weight(result) // 2)
        return result
