"""`export`: manifests as they are, or (`--history`) the whole history; one JSON line each."""

import sys
from argparse import ArgumentParser
from typing import Final

import msgspec

from manifestctl.arguments import Verb
from manifestctl.progress_line import progress_reporter
from manifestctl.session import Session, UsageError
from manifestctl.verbs.backup import add_progress
from protocol.backup import is_frame

_STAGES: Final = ("manifests",)
_FILTERS: Final = ("state", "kind", "author", "lifecycle")


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("--state", help="only manifests in this state, or in one inside it")
    parser.add_argument("--kind", help="only of this kind")
    parser.add_argument("--author", metavar="NAME", help="only by this author")
    parser.add_argument("--lifecycle", metavar="ID@VERSION", help="only under this lifecycle")
    parser.add_argument(
        "--history",
        action="store_true",
        help="the lifecycles and every event, byte for byte: what manifestd import takes",
    )
    add_progress(parser)


def _export(session: Session) -> int:
    filters = {name: getattr(session.arguments, name) for name in _FILTERS}
    if not session.arguments.history:
        return _export_manifests(session, filters)
    given = [f"--{name}" for name, value in filters.items() if value is not None]
    if given:
        message = f"--history takes the whole store; leave {', '.join(given)} out"
        raise UsageError(message)
    return _export_events(session)


def _export_manifests(session: Session, filters: dict[str, str | None]) -> int:
    reporter = progress_reporter(session.arguments.progress)
    out = sys.stdout.buffer
    encoder = msgspec.json.Encoder()
    reporter.start("export", _STAGES)
    reporter.stage(_STAGES[0])
    count = 0
    rows = session.client.every_manifest(
        state=filters["state"],
        kind=filters["kind"],
        author=filters["author"],
        lifecycle=filters["lifecycle"],
        can=None,
        principal=None,
    )
    for row in rows:
        out.write(encoder.encode(session.client.get(row.manifest_id)) + b"\n")
        count += 1
        reporter.progress(0.0, manifests=count)
    out.flush()
    reporter.complete(manifests=count)
    return 0


def _export_events(session: Session) -> int:
    from manifestctl.backup_pages import BackupPages  # noqa: PLC0415 (not for --help)

    reporter = progress_reporter(session.arguments.progress)
    reporter.start("export", ("events",))
    reporter.stage("events")
    out = sys.stdout.buffer
    pages = BackupPages(session.client, reporter)
    for line in pages.lines():
        if not is_frame(line):
            out.write(line)
    out.flush()
    reporter.complete(seq=pages.opening.seq)
    return 0


_EXAMPLES: Final = """\
  manifestctl export --state REGISTERED > registered.ndjson
  manifestctl export | jq -r '[.manifest_id, .state] | @tsv'
  manifestctl export --history | ssh new manifestd import - --data-dir /var/lib/manifestd

A line of the first two is what `manifestctl get -o ndjson` prints. `manifestctl apply --bulk FILE`
makes drafts of such lines; only `--history` keeps states, approvals and history.
"""

VERBS: Final = {"export": Verb(_add_export, _export, _EXAMPLES)}
