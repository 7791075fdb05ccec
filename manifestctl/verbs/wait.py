"""`wait`: until a manifest is in a state. It subscribes first and looks then, so it misses nothing."""

import time
from argparse import ArgumentParser
from typing import Final

from manifestctl.arguments import Verb, add_manifest_id
from manifestctl.filters import EventFilter
from manifestctl.script import ReceivedEvent
from manifestctl.session import Session, UsageError
from manifestctl.verbs.lifecycle import state_tree
from manifestctl.verbs.write import shown_state
from protocol.errors import UnavailableError, did_you_mean
from protocol.events import StateName, state_names

TIMEOUT_S: Final = 60.0


def _add_wait(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument(
        "--state",
        action="append",
        required=True,
        help="the state, or one that holds it; may be repeated: any of them",
    )


def _wait(session: Session) -> int:
    # ZeroMQ is not needed for --help.
    from manifestctl.sync_subscriber import SyncSubscriber  # noqa: PLC0415

    arguments = session.arguments
    manifest_id: str = arguments.manifest_id
    timeout_s = TIMEOUT_S if arguments.timeout is None else arguments.timeout
    deadline_s = time.monotonic() + timeout_s
    with SyncSubscriber(session.client, wanted=EventFilter(manifest_id=manifest_id)) as subscriber:
        subscriber.start()
        current = session.client.get(manifest_id)
        wanted = _leaves(session, current.lifecycle)
        state: StateName = current.state
        version = current.version
        while not wanted.intersection(state_names(state)):
            item = subscriber.next_item(deadline_s - time.monotonic())
            if item is None:
                message = f"{manifest_id} is {shown_state(state)} after {timeout_s:g} s"
                raise UnavailableError(message, suggestion=f"manifestctl explain {manifest_id}")
            assert isinstance(item, ReceivedEvent)
            if item.manifest_id == manifest_id and item.version > version:
                state, version = item.states_to, item.version
    result = session.client.get(manifest_id) if version > current.version else current
    session.output.one(
        result,
        manifest_id,
        lambda: session.output.line(f"{manifest_id} is {shown_state(state)}, version {version}"),
    )
    return 0


def _leaves(session: Session, lifecycle: str) -> set[str]:
    """Return the wanted states, and every state inside one of them."""
    result = session.client.lifecycle(lifecycle)
    tree = state_tree(result.definition or {})
    known = {name: state for name, _, state in tree}
    wanted = set()
    for name in session.arguments.state:
        if name not in known:
            near = did_you_mean(name, list(known))
            hint = f"did you mean {near}?" if near else f"it has {', '.join(known)}"
            message = f"the lifecycle {lifecycle} has no state {name!r}; {hint}"
            raise UsageError(message)
        wanted |= {name, *(inner for inner, _, _ in state_tree(known[name]))}
    return wanted


_EXAMPLES: Final = """\
  manifestctl wait io.github.acme/echo@1.0.0 --state REGISTERED --timeout 600
  manifestctl wait io.github.acme/echo@1.0.0 --state APPROVED --state DRAFT -o json | jq .state

Exit status 0 when it is there, 8 when it is not after --timeout seconds (default: 60).
"""

VERBS: Final = {"wait": Verb(_add_wait, _wait, _EXAMPLES)}
