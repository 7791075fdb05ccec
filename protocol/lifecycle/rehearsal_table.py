"""The table of a rehearsal: cases of a lifecycle, each a row of steps, in TOML.

    [[case]]
    name = "Rejected and mended"
    guards = { four_eyes = true }              # answers for the whole case; else a guard holds
    steps = [
        { event = "submit_for_review", principal = "ann", roles = ["author"], state = "REVIEWED" },
        { event = "approve", guards = { four_eyes = false }, refused = "four_eyes" },
        { event = "reject", reason = "A typo.", state = "DRAFT" },
        { after = "14d", state = "DRAFT" },    # virtual time passes
    ]

`state` is what the step leads to: a state, or a list with one for each region; one that has others
in it stands for any of them. `refused` is `true`, or what refused: a guard, its `because`,
"event" (nothing there listens to it), "roles", or "assign" (an assignment without a value). A step without it has to be taken. `manifest`
and `now` are what CEL guards see; without a manifest they are answered like the others.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from protocol.lifecycle import names
from protocol.lifecycle.delays import DelayError, parse_delay_ms
from protocol.lifecycle.findings import Finding, LifecycleError, shown, unknown
from protocol.lifecycle.guards import And, Builtin, Cel, GuardForm, Named, Not, Or, describe
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.places import FileBoundError, PlacePath, Places, dotted
from protocol.lifecycle.shape import (
    Check,
    EnoughError,
    Mistakes,
    list_of,
    map_of,
    named,
    switch,
    table,
    text,
    what,
)
from protocol.lifecycle.toml_places import toml_places
from protocol.principals import ROLE, ROLES
from protocol.statechart.compiled import Chart

TABLE_SIZE_MAX: Final = 1 << 20  # Characters; nobody rehearses more by hand.
REFUSALS: Final = ("event", "roles", "assign")  # What may refuse a step beside its guards.


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row: an event or virtual time that passes, what guards answer, what is expected."""

    event: str | None = None
    after: str | None = None
    principal: str | None = None
    roles: list[str] | None = None
    reason: str | None = None
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    guards: dict[str, bool] = msgspec.field(default_factory=dict)
    state: str | list[str] | None = None
    refused: str | bool = False

    @property
    def states(self) -> list[str]:
        """The expected states; none: any will do."""
        return [self.state] if isinstance(self.state, str) else self.state or []


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One way through the lifecycle, from its beginning."""

    name: str
    steps: list[Step]
    kind: str | None = None
    manifest: dict[str, Any] | None = None
    now: str = "2026-01-01T00:00:00Z"
    guards: dict[str, bool] = msgspec.field(default_factory=dict)


class Table(msgspec.Struct, frozen=True):
    """The cases of a file, and where everything stands in it."""

    name: str
    cases: list[Case]
    places: Places


def read_table(content: str, name: str, lifecycle: Lifecycle) -> Table:
    """Return the cases in the TOML `content`, held against the names of `lifecycle`.

    Raises:
        LifecycleError: the table is wrong; its findings are all that is, each with its line.
    """
    if len(content) > TABLE_SIZE_MAX:
        raise LifecycleError.of(name, f"the file is larger than {TABLE_SIZE_MAX} characters")
    try:
        places = toml_places(content)
        tree = tomllib.loads(content)
    except FileBoundError as error:
        raise LifecycleError.of(name, error.reason, line=error.line) from error
    except (ValueError, RecursionError) as error:
        raise LifecycleError.of(name, f"this is no TOML: {error}") from error
    mistakes = Mistakes(places)
    try:
        table(mistakes, tree, (), _TABLE)
        if not mistakes.findings and not tree.get("case"):
            mistakes.add((), "there is no case; add a [[case]] with a name and steps")
    except EnoughError:
        pass  # The last finding says so.
    if mistakes.findings:
        raise LifecycleError(name, mistakes.findings)
    cases = msgspec.convert(tree["case"], list[Case])
    found = Table(name, cases, places)
    findings = [
        Finding(dotted(path), places.line(path), message)
        for path, message in _unknown_names(found, lifecycle)
    ]
    if findings:
        raise LifecycleError(name, findings)
    return found


def guard_names(lifecycle: Lifecycle) -> list[str]:
    """Return what `guards` may answer for: names, with and without arguments, and CEL texts."""
    forms = [one.guard for one in lifecycle.chart.transitions if isinstance(one.guard, GuardForm)]
    found = {name: None for form in forms for part in _parts(form) for name in names_of(part)}
    return list(found)


def _parts(form: GuardForm) -> Iterator[GuardForm]:
    yield form
    match form:
        case And(guards=guards) | Or(guards=guards):
            for guard in guards:
                yield from _parts(guard)
        case Not(guard=guard) | Named(guard=guard):
            yield from _parts(guard)


def _becauses(chart: Chart) -> list[str]:
    said = [one.because for one in chart.transitions]
    for one in chart.transitions:
        if isinstance(one.guard, GuardForm):
            said += [part.because for part in _parts(one.guard)]
    return [because for because in said if because is not None]


def names_of(form: GuardForm) -> tuple[str, ...]:
    """Return what `guards` may call a guard, the most exact name first."""
    match form:
        case Builtin(name=name):
            return (describe(form), name)
        case Named(name=name):
            return (name,)
        case Cel(expression=expression):
            return (expression.source,)
    return ()


def _unknown_names(found: Table, lifecycle: Lifecycle) -> Iterator[tuple[PlacePath, str]]:
    chart, guards = lifecycle.chart, guard_names(lifecycle)
    said = _becauses(chart)
    known = {
        "event": [event for event in lifecycle.events if "*" not in event],
        "state": [name for name, node in chart.nodes.items() if node.ancestors],
        "guard": guards,
        "role": [*ROLES, *(role for many in lifecycle.definition.roles.values() for role in many)],
        "refusal": [*REFUSALS, *guards, *said],
    }
    for number, case in enumerate(found.cases):
        names: list[tuple[str, PlacePath, str]] = [
            ("guard", ("guards", guard), guard) for guard in case.guards
        ]
        for index, step in enumerate(case.steps):
            if step.event is not None and not lifecycle.knows(step.event):
                names.append(("event", ("steps", index, "event"), step.event))
            names += [("state", ("steps", index, "state"), state) for state in step.states]
            names += [("guard", ("steps", index, "guards", guard), guard) for guard in step.guards]
            for number_of_role, role in enumerate(step.roles or []):
                names.append(("role", ("steps", index, "roles", number_of_role), role))
            if isinstance(step.refused, str):
                names.append(("refusal", ("steps", index, "refused"), step.refused))
        for of, path, name in names:
            if name not in known[of]:
                yield ("case", number, *path), unknown(of, name, known[of])


# The shape.


def _after(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if not isinstance(value, str):
        mistakes.add(path, f"this is a delay such as '14d', not {what(value)}; write it in quotes")
        return
    try:
        parse_delay_ms(value)
    except DelayError as error:
        mistakes.add(path, f"{shown(value)} cannot be waited for: {error}")


def _now(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    try:
        is_time = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        is_time = False
    if not is_time:
        mistakes.add(path, "this is a time such as '2026-01-01T00:00:00Z', in quotes")


def _state(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    (_states if isinstance(value, list) else _state_name)(mistakes, value, path)


def _refused(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if not isinstance(value, str | bool):
        refusals = ", ".join(map(repr, REFUSALS))
        mistakes.add(path, f"this is true, {refusals}, or a guard; not {what(value)}")


def _reason(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if value != "":  # Which is how a case says that none was given.
        text(mistakes, value, path)


def _object(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if not isinstance(value, dict):
        mistakes.add(path, f"this is a table, not {what(value)}")


def _role(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    if not isinstance(value, str):
        mistakes.add(path, f"this is the name of a role, not {what(value)}")
    elif ROLE.fullmatch(value) is None:
        mistakes.add(path, f"{shown(value)} is no role; it is 1 to 32 of a-z 0-9 _ -")


def _step(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    table(mistakes, value, path, _STEP)
    if not isinstance(value, dict):
        return
    if ("event" in value) == ("after" in value):
        mistakes.add(path, "a step has either an event or a delay 'after' which things are")
    if value.get("refused") and ("after" in value):
        mistakes.add((*path, "refused"), "time that passes is refused by nobody; leave it out")


def _case(mistakes: Mistakes, value: object, path: PlacePath) -> None:
    table(mistakes, value, path, _CASE)
    for member in ("name", "steps"):
        if isinstance(value, dict) and member not in value:
            mistakes.add(path, f"{member!r} is missing; a case has a name and steps")


_state_name: Final = named("a state", names.NAME_PATTERN, names.NAME_RULE)
_states: Final = list_of(_state_name, empty="no state; leave it out when any will do")
_answers: Final = map_of(text, switch)
_STEP: Final[Mapping[str, Check]] = {
    "event": named("an event", names.NAME_PATTERN, names.NAME_RULE),
    "after": _after,
    "principal": text,
    "roles": list_of(_role),
    "reason": _reason,
    "context": _object,
    "guards": _answers,
    "state": _state,
    "refused": _refused,
}
_CASE: Final[Mapping[str, Check]] = {
    "name": text,
    "kind": text,
    "manifest": _object,
    "now": _now,
    "guards": _answers,
    "steps": list_of(_step, empty="no steps; add one"),
}
_TABLE: Final[Mapping[str, Check]] = {"case": list_of(_case)}
