"""`manifestctl lifecycle migrate`: manifests change over to another lifecycle, one event each.

Promise:  nothing is changed while a manifest would be stranded, unless that is asked for. Run again
          after an interruption it goes on with what is left.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Final

import msgspec

from manifestctl.arguments import Verb, add_reason
from manifestctl.output import Column, Format
from manifestctl.session import Session
from manifestctl.verbs.write import shown_state
from protocol.errors import (
    BadRequestError,
    CommandError,
    InvalidTransitionError,
    OptimisticLockError,
)
from protocol.events import StateName

STRANDED: Final = InvalidTransitionError.exit_status


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest on its way: what it is, what it becomes, or why it stays."""

    manifest_id: str
    state: StateName
    becomes: StateName | None = None
    problem: str | None = None


_COLUMNS: Final = (
    Column("MANIFEST", lambda row: row.manifest_id),
    Column("STATE", lambda row: shown_state(row.state)),
    Column("BECOMES", lambda row: shown_state(row.becomes) if row.becomes else None),
    Column("PROBLEM", lambda row: row.problem),
)


def _add_migrate(parser: ArgumentParser) -> None:
    parser.add_argument("from_lifecycle", metavar="FROM", help="the lifecycle that they have now")
    parser.add_argument("to_lifecycle", metavar="TO", help="the one that they get")
    parser.add_argument(
        "--map",
        dest="mapping",
        action="append",
        type=_pair,
        default=[],
        metavar="OLD=NEW",
        help="a state that is called otherwise there; may be repeated",
    )
    parser.add_argument("--id", dest="only", action="append", metavar="ID", help="only this one")
    parser.add_argument(
        "--skip-stranded",
        action="store_true",
        help="migrate the others, and leave alone those that have no state there",
    )
    parser.add_argument("--as", dest="principal", metavar="NAME", help="who it is from")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would happen, change nothing"
    )
    add_reason(parser)


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (old and separator and new):
        raise ArgumentTypeError(f"{text!r} is no OLD=NEW")
    return old, new


def _migrate(session: Session) -> int:
    arguments, output = session.arguments, session.output
    foreseen = list(_each(session, dry_run=True))
    stranded = [row for row in foreseen if row.problem is not None]
    if arguments.dry_run or (stranded and not arguments.skip_stranded):
        output.many(foreseen, lambda row: str(row.manifest_id), _COLUMNS)
        _sum_up(session, len(foreseen) - len(stranded), stranded, "would be migrated")
        return STRANDED if stranded else 0
    done = list(_each(session, dry_run=False))
    left = [row for row in done if row.problem is not None]
    output.many(done, lambda row: str(row.manifest_id), _COLUMNS)
    _sum_up(session, len(done) - len(left), left, "migrated")
    return STRANDED if left else 0


def _each(session: Session, *, dry_run: bool) -> Iterator[Migration]:
    """Yield every manifest under the old lifecycle, migrated, or why it is not."""
    arguments, client = session.arguments, session.client
    rows = list(client.every_manifest(lifecycle=arguments.from_lifecycle))
    for row in rows:
        if arguments.only is not None and row.manifest_id not in arguments.only:
            continue
        try:
            result = client.migrate(
                row.manifest_id,
                arguments.to_lifecycle,
                states=dict(arguments.mapping) or None,
                reason=arguments.reason,
                expected_version=row.version,
                principal=arguments.principal,
                dry_run=dry_run,
            )
        except (InvalidTransitionError, BadRequestError, OptimisticLockError) as error:
            yield _stays(row.manifest_id, row.state, error)
        else:
            yield Migration(manifest_id=row.manifest_id, state=row.state, becomes=result.state)


def _stays(manifest_id: str, state: StateName, error: CommandError) -> Migration:
    hint = f" ({error.suggestion})" if error.suggestion else ""
    return Migration(manifest_id=manifest_id, state=state, problem=f"{error.message}{hint}")


def _sum_up(session: Session, count: int, left: list[Migration], what: str) -> None:
    if session.output.form is Format.TABLE:
        session.output.note(f"{count} {what}, {len(left)} left as they are")


MIGRATE: Final = Verb(
    _add_migrate,
    _migrate,
    "  manifestctl lifecycle migrate review@1 review@2 --map CHECKED=REVIEWED --dry-run\n",
)
