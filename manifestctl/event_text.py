"""An event as a person wants to read it: one line, the local time, what matters first."""

from datetime import datetime
from typing import Final

from manifestctl.text import safe
from protocol.events import Event, state_names

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"


def local_time(at: str) -> str:
    """Return an RFC 3339 time as local date and time, to the second."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return at


def event_line(event: Event, *, colours: bool) -> str:
    """Return `15:04:05 812 ID FROM → TO event by NAME (via NAME): reason`, harmless."""
    to = "+".join(state_names(event.states_to))
    step = to
    if event.states_from is not None and event.states_from != event.states_to:
        step = f"{'+'.join(state_names(event.states_from))} → {to}"
    via = f" (via {event.via})" if event.via else ""
    what = event.event or event.type
    if event.cause:
        what = f"{what} [{event.cause}]"
    reason = event.payload.reason if event.payload is not None else "(redacted)"
    return " ".join(
        (
            _painted(local_time(event.at)[-8:], _DIM, colours=colours),
            _painted(str(event.seq), _DIM, colours=colours),
            safe(event.manifest_id),
            _painted(safe(step), _BOLD, colours=colours),
            safe(f"{what} by {event.principal}{via}") + (f": {safe(reason)}" if reason else ""),
        )
    )


def _painted(text: str, style: str, *, colours: bool) -> str:
    return f"{style}{text}{_RESET}" if colours else text
