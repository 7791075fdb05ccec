"""`watch`: events on a terminal, as NDJSON in a pipe, or one run of a command for each."""

import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from manifestctl.arguments import Verb, count
from manifestctl.cursor import Cursor, Place
from manifestctl.event_text import event_line
from manifestctl.filters import EventFilter
from manifestctl.output import Format
from manifestctl.script import Lost, Ready, ReceivedEvent
from manifestctl.session import Session
from protocol.events import EventType, state_names

SIGNALLED: Final = 128  # A shell's exit status of a command that a signal ended: 128 + its number.


def _add_watch(parser: ArgumentParser) -> None:
    parser.add_argument("--kind", help="only of this kind")
    parser.add_argument("--id", dest="manifest_id", metavar="PREFIX", help="only such manifests")
    parser.add_argument("--state", help="only what leads to, or stays in, this state")
    parser.add_argument(
        "--type", action="append", choices=[str(one) for one in EventType], help="only such events"
    )
    parser.add_argument(
        "--from-seq", type=count, metavar="N", help="begin with event N (default: the next one)"
    )
    parser.add_argument(
        "--cursor",
        type=Path,
        metavar="FILE",
        help="go on after the event that FILE names, and keep it there (its seq, and the store's "
        "id); without FILE yet: --from-seq",
    )
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="CMD",
        help="run CMD in a shell once per event instead of printing it: JSON on its standard "
        "input, MANIFESTD_SEQ, _ID, _TYPE, _EVENT, _STATE … in its environment; when it fails, "
        "watch stops with its status and the cursor stays",
    )
    parser.add_argument("--count", type=count, metavar="N", help="stop after N events")


def _watch(session: Session) -> int:
    # ZeroMQ is not needed for --help.
    from manifestctl.sync_subscriber import SyncSubscriber  # noqa: PLC0415

    arguments = session.arguments
    cursor = None if arguments.cursor is None else Cursor(arguments.cursor)
    handled = None if cursor is None else cursor.read()
    from_seq = arguments.from_seq if handled is None else handled.seq + 1
    if arguments.count == 0:
        return 0
    wanted = EventFilter(
        kind=arguments.kind,
        manifest_id=arguments.manifest_id,
        state=arguments.state,
        types=arguments.type or (),
    )
    with SyncSubscriber(
        session.client,
        from_seq=from_seq,
        store_id=None if handled is None else handled.store_id,
        wanted=wanted,
        on_change=_Changes(session).tell,
    ) as subscriber:
        if from_seq is None and cursor is not None:
            subscriber.start()
            cursor.write(Place(subscriber.position or 0, subscriber.store_id))
        for number, event in enumerate(subscriber, 1):
            assert isinstance(event, ReceivedEvent)
            status = _handle(session, event)
            if status:
                return status
            if cursor is not None:
                cursor.write(Place(event.seq, subscriber.store_id))
            if number == arguments.count:
                break
    return 0


class _Changes:
    """Tells people on a terminal that the daemon was lost, and that it is back."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_lost = False

    def tell(self, change: Ready | Lost) -> None:
        if isinstance(change, Lost):
            self._session.output.note(f"{change.reason}; waiting for it to come back")
        elif self._is_lost:
            self._session.output.note("the daemon is back; nothing was missed")
        self._is_lost = isinstance(change, Lost)


def _handle(session: Session, event: ReceivedEvent) -> int:
    """Print the event or run the command; return an exit status, 0 to go on."""
    if session.arguments.command is not None:
        return _execute(session.arguments.command, event)
    output = session.output
    form = output.form
    if session.arguments.output is None and not output.is_terminal:
        form = Format.NDJSON
    match form:
        case Format.TABLE:
            output.out.write(f"{event_line(event, colours=output.has_colours)}\n")
        case Format.NAME:
            output.line(event.manifest_id)
        case Format.JSON | Format.NDJSON:
            output.raw_line(event.line)
    output.out.flush()
    return 0


def _execute(command: str, event: ReceivedEvent) -> int:
    sys.stdout.flush()
    variables = {
        "SEQ": str(event.seq),
        "ID": event.manifest_id,
        "VERSION": str(event.version),
        "TYPE": event.type,
        "EVENT": event.event or "",
        "FROM": "+".join(state_names(event.states_from or [])),
        "STATE": "+".join(state_names(event.states_to)),
        "KIND": event.kind,
        "PRINCIPAL": event.principal,
        "AT": event.at,
    }
    environ = {f"MANIFESTD_{name}": value for name, value in variables.items()}
    # The shell's text is the user's own; what others wrote goes by input and environment only.
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", command],
        input=event.line + b"\n",
        env=os.environ | environ,
        check=False,
    )
    return done.returncode if done.returncode >= 0 else SIGNALLED - done.returncode


_EXAMPLES: Final = """\
  manifestctl watch                                  # on a terminal, for people
  manifestctl watch --from-seq 1 | jq .manifest_id   # in a pipe: every event, as JSON lines
  manifestctl watch --state REGISTERED --cursor seen --exec 'curl -d @- https://hooks/x'

With --cursor and --exec every event is handled at least once: the cursor moves after CMD did well.
"""

VERBS: Final = {"watch": Verb(_add_watch, _watch, _EXAMPLES)}
