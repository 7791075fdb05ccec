"""The names in a lifecycle file: of states, events and what stands for several events."""

import re
from typing import Final

# States are joined by `+` and set between slashes in topics; events stand in commands and in logs.
NAME_PATTERN: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ . -, beginning with none of the last two"
GUARD_NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
GUARD_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _, beginning with no digit"
LIFECYCLE_ID_PATTERN: Final = r"[a-z0-9][a-z0-9-]{0,62}"  # Part of a file's name.
LIFECYCLE_ID_RULE: Final = "1 to 63 of a-z 0-9 -, beginning with a letter or digit"
DONE_PREFIX: Final = "done.state."
_NAME: Final = re.compile(NAME_PATTERN)


def is_name(text: str) -> bool:
    """Tell whether a state, an event, a tag or a member of the context may be called `text`."""
    return _NAME.fullmatch(text) is not None


def is_descriptor(text: str) -> bool:
    """Tell whether `text` may stand for events: a name, `name.*` or `*` (SCXML 3.12.1)."""
    return text == "*" or is_name(text.removesuffix(".*"))


def tokens(descriptor: str) -> tuple[str, ...]:
    """Return the parts of `descriptor` that an event has to begin with; `*` has none."""
    if descriptor == "*":
        return ()
    return tuple(descriptor.removesuffix(".*").split("."))


def covers(descriptor: str, other: str) -> bool:
    """Tell whether each event that `other` stands for is one that `descriptor` stands for."""
    wanted = tokens(descriptor)
    return tokens(other)[: len(wanted)] == wanted


def overlaps(descriptor: str, other: str) -> bool:
    """Tell whether there are events that both descriptors stand for."""
    return covers(descriptor, other) or covers(other, descriptor)


def is_reserved(descriptor: str) -> bool:
    """Tell whether the chart alone raises what `descriptor` stands for: timers, `always`."""
    first = tokens(descriptor)[:1]
    return first in (("after",), ("always",))


def is_done_event(descriptor: str) -> bool:
    """Tell whether `descriptor` stands for nothing but the end of a state."""
    return tokens(descriptor)[:2] == ("done", "state")
