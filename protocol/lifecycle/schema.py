"""The JSON Schema (draft 2020-12) of lifecycle files, for editors: completion, hints, red lines.

Promise:  a file that `reader.py` takes is valid; each member of the format is described.
Not here: what a schema cannot say (whether names exist, and fit together): `checks.py`.
"""

from typing import Any, Final, TypeAlias

from protocol.lifecycle import names
from protocol.lifecycle.members import HISTORY_TYPES, REQUIRED, STATE_TYPES, TARGETS_MAX
from protocol.limits import INTEGER_MAX, TEXT_SIZE_MAX
from protocol.principals import ROLE, ROLES
from protocol.record import ACTIONS

Schema: TypeAlias = dict[str, Any]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_COUNT: Final = "[0-9]{1,12}"
_DELAY: Final = "^" + "".join(f"({_COUNT}{unit})?" for unit in ("d", "h", "m", "s", "ms")) + "$"
_WAYS_OUT: Final = ("on", "always", "after", "onDone")
_HISTORY_MEMBERS: Final = ("type", "history", "target", "description")


def lifecycle_schema() -> Schema:
    """Return the schema of a lifecycle file, as a document of its own."""
    return {
        "$schema": _DRAFT,
        "$id": "urn:manifestd:lifecycle-file",
        "title": "manifestd lifecycle",
        "description": (
            "A statechart with permissions: which states a manifest can be in, and what leads from "
            "one to another. As TOML or as JSON; `manifestctl lifecycle check FILE` tells more."
        ),
        **_table(_LIFECYCLE),
        "required": list(REQUIRED),
        "$defs": {
            "text": _TEXT,
            "name": _named(names.NAME_PATTERN, names.NAME_RULE),
            "event": _EVENT,
            "target": _TARGET,
            "guard": _GUARD,
            "guards": {"type": "array", "minItems": 1, "items": _ref("guard")},
            "action": _ACTION,
            "actions": {"type": "array", "items": _ref("action")},
            "transition": _table(_TRANSITION),
            "candidates": _CANDIDATES,
            "states": {
                "type": "object",
                "propertyNames": _ref("name"),
                "additionalProperties": _ref("state"),
            },
            "state": {**_table(_STATE), "allOf": _STATE_RULES},
        },
    }


def _ref(name: str, description: str | None = None, **more: object) -> Schema:
    told = {} if description is None else {"description": description}
    return {"$ref": f"#/$defs/{name}", **told, **more}


def _table(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _named(pattern: str, rule: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", "description": rule}


def _without(*members: str) -> Schema:
    return {"properties": dict.fromkeys(members, False)}


def _if_type(state_type: str, *rules: Schema) -> Schema:
    is_type = {"properties": {"type": {"const": state_type}}, "required": ["type"]}
    return {"if": is_type, "then": {"allOf": list(rules)}}


_TEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": TEXT_SIZE_MAX}
_EVENT: Final[Schema] = {
    "description": "An event, `name.*` for all that begin with `name.`, or `*` for all.",
    "type": "string",
    "pattern": rf"^(?:\*|{names.NAME_PATTERN}(?:\.\*)?)$",
    "not": {"pattern": r"^(?:after|always)(?:\.|$)"},
}
_TARGET: Final[Schema] = {
    "description": "A state; or several, each in another region of a parallel state.",
    "oneOf": [
        _ref("name"),
        {"type": "array", "minItems": 1, "maxItems": TARGETS_MAX, "items": _ref("name")},
    ],
    "examples": ["REVIEWED", ["SECURITY_OPEN", "LEGAL_OPEN"]],
}
_GUARD: Final[Schema] = {
    "description": (
        "What has to hold: the name of a built-in guard or of one under `guards`; an expression in "
        "CEL over manifest, state, principal, command, approvals, now; a list, all of which have to "
        "hold; or a table: and, or, not, in (a state is active), cel. `because` is told to who is "
        "refused."
    ),
    "anyOf": [
        _ref("text"),
        _ref("guards"),
        {
            "type": "object",
            "properties": {
                "and": _ref("guards", "All of them hold."),
                "or": _ref("guards", "At least one of them holds."),
                "not": _ref("guard", "It does not hold."),
                "in": _ref("name", "This state is active."),
                "cel": _ref("text", "This expression is true."),
                "because": _ref("text", "What a refused caller is told."),
            },
            "additionalProperties": False,
            "oneOf": [{"required": [form]} for form in ("and", "or", "not", "in", "cel")],
        },
    ],
    "examples": [
        *("manifest_valid", "four_eyes", "reason_given", "digest_matches"),
        *("content_approved", "urn_free", "has_role(registrar)"),
        *("approvals_at_least(2)", "approvals_at_least(2, approver)"),
        "manifest.version != '0.0.0'",
        ["manifest_valid", {"not": {"in": "LEGAL_OPEN"}}],
        {"cel": "size(approvals) > 1", "because": "two have to agree"},
    ],
}
_ACTION: Final[Schema] = {
    "description": "What is recorded, or raised: a built-in action, or a table of one key.",
    "oneOf": [
        {"type": "string", "enum": list(ACTIONS)},
        {**_table({"raise": _ref("name", "An event of the chart's own.")}), "required": ["raise"]},
        {
            **_table(
                {
                    "assign": {
                        "description": "Members of the context, each with an expression in CEL.",
                        "type": "object",
                        "propertyNames": _ref("name"),
                        "additionalProperties": _ref("text"),
                    }
                }
            ),
            "required": ["assign"],
        },
    ],
    "examples": ["record_approval", {"raise": "remind"}, {"assign": {"submitted_at": "now"}}],
}
_TRANSITION: Final[Schema] = {
    "target": _ref("target", "Where it leads; without one it stays, and only acts."),
    "guard": _ref("guard"),
    "because": _ref("text", "What a caller is told whom the guard refuses."),
    "actions": _ref("actions", "What is done on the way, in this order."),
    "internal": {
        "type": "boolean",
        "description": "From a compound state to one inside it without leaving it (SCXML).",
    },
    "description": _ref("text"),
}
_CANDIDATES: Final[Schema] = {
    "description": "A target, a transition, or several: the first whose guard holds is taken.",
    "oneOf": [
        _ref("name"),
        _ref("transition"),
        {"type": "array", "minItems": 1, "items": _ref("transition")},
    ],
}
_STATE: Final[Schema] = {
    "type": {
        "enum": list(STATE_TYPES),
        "description": "May be left out for states with states in them, and those without.",
    },
    "initial": _ref("name", "Where a compound state begins; else in its first one."),
    "history": {
        "enum": list(HISTORY_TYPES),
        "description": "How much a history state remembers: one level, or all. Shallow if left out.",
    },
    "target": _ref("target", "Where a history state leads while it remembers nothing."),
    "description": _ref("text"),
    "tags": {
        "type": "array",
        "items": _ref("name"),
        "description": "`mutable`: the document may be revised here.",
        "examples": [["mutable"]],
    },
    "on": {
        "description": "What may happen, by event.",
        "type": "object",
        "propertyNames": _ref("event"),
        "additionalProperties": _ref("candidates"),
    },
    "always": _ref("candidates", "What happens by itself as soon as its guard holds."),
    "after": {
        "description": "What happens when the state has been active for so long.",
        "type": "object",
        "propertyNames": {"pattern": _DELAY, "minLength": 2},
        "additionalProperties": _ref("candidates"),
        "examples": [{"14d": "DRAFT"}, {"1d12h": {"target": "ESCALATED"}}],
    },
    "onDone": _ref(
        "candidates", "What happens when a final state in it, or all regions, are reached."
    ),
    "entry": _ref("actions", "What is done whenever it is entered."),
    "exit": _ref("actions", "What is done whenever it is left."),
    "states": _ref("states", "The states in it; of a parallel one, its regions."),
}
_STATE_RULES: Final[list[Schema]] = [
    _if_type("atomic", _without("states", "initial", "onDone")),
    _if_type("compound", {"required": ["states"]}),
    _if_type("parallel", {"required": ["states"]}, _without("initial")),
    _if_type("final", _without(*_WAYS_OUT, "states", "initial")),
    _if_type("history", _without(*(one for one in _STATE if one not in _HISTORY_MEMBERS))),
    {
        "if": {"properties": {"type": {"const": "history"}}, "required": ["type"]},
        "else": _without("history", "target"),
    },
]
_LIFECYCLE: Final[Schema] = {
    "$schema": {"type": "string", "description": "For editors; it is not read."},
    "id": _named(names.LIFECYCLE_ID_PATTERN, names.LIFECYCLE_ID_RULE),
    "version": {
        "type": "integer",
        "minimum": 1,
        "maximum": INTEGER_MAX,
        "description": "A changed lifecycle gets the next number: manifests keep theirs.",
    },
    "initial": _ref("name", "The state in which a manifest begins."),
    "states": _ref("states", "The states, by id; ids are unique in a file.", minProperties=1),
    "roles": {
        "description": "For each event the roles that permit it; every role does, where it has none.",
        "type": "object",
        "propertyNames": _ref("event"),
        "additionalProperties": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": f"^(?:{ROLE.pattern})$",
                "examples": list(ROLES),
            },
        },
        "examples": [{"approve": ["approver"], "reject": ["reviewer", "approver"]}],
    },
    "guards": {
        "description": "Names for guards that are used more than once.",
        "type": "object",
        "propertyNames": _named(names.GUARD_NAME_PATTERN, names.GUARD_NAME_RULE),
        "additionalProperties": _ref("guard"),
    },
    "description": _ref("text"),
}
