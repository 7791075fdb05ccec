"""`manifestd restore FILE --data-dir DIR`: a store from a backup, in an empty directory.

The new store has an id of its own, and says in `store.json` which one it was: what follows in it is
not what followed in the original, and a subscriber that has seen more of that must notice.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from actors.histories import utc_time
from daemon.errors import BadInputError
from daemon.journal.disk import OperatingSystemDisk
from daemon.offline.arguments import become_owner, offline_parser
from daemon.offline.restoring import STAGES, Restore, Restored, Until
from daemon.progress import terminal_reporter
from protocol.errors import BadRequestError
from protocol.progress import FORMS

STANDARD: Final = "-"


def run(arguments: list[str]) -> int:
    """Run `manifestd restore`; return the exit status."""
    parser = offline_parser(
        "restore",
        "Make a store of a backup, in a directory that is empty or does not exist.",
        (
            "manifestd restore /var/backups/2026-11-26.backup --data-dir /var/lib/manifestd",
            "manifestd restore FILE --data-dir DIR --to-time 2026-11-26T09:59:00Z",
            "zstd -dc manifestd.backup.zst | manifestd restore - --data-dir DIR",
        ),
    )
    parser.add_argument("file", metavar="FILE", help="a backup; - is standard input")
    parser.add_argument("--to-seq", type=_seq, metavar="N", help="only the events up to seq N")
    parser.add_argument(
        "--to-time",
        type=_time,
        metavar="TIME",
        help="only the events before the first one that is later than TIME (RFC 3339)",
    )
    parser.add_argument(
        "--keep-store-id",
        action="store_true",
        help="be the same store to subscribers: where the original is gone for good, and nobody "
        "has seen more of it than is restored",
    )
    add_progress(parser)
    options = parser.parse_args(arguments)
    restored = restore_from(
        options,
        operation="restore",
        until=Until(options.to_seq, options.to_time),
        needs_header=True,
        keep_store_id=options.keep_store_id,
    )
    show(options.data_dir, restored)
    return 0


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add `--progress`."""
    parser.add_argument(
        "--progress",
        choices=FORMS,
        default="auto",
        help="tell on standard error how far it is (default: as text on a terminal)",
    )


def restore_from(
    options: argparse.Namespace,
    *,
    operation: str,
    until: Until,
    needs_header: bool,
    keep_store_id: bool,
) -> Restored:
    """Make a store in `options.data_dir` of `options.file`."""
    reporter = terminal_reporter(options.progress)
    source = "standard input" if options.file == STANDARD else options.file
    restore = Restore(OperatingSystemDisk(), options.data_dir, reporter, source=source, until=until)
    with _opened(options.file) as file:  # As whoever we are: a backup is perhaps root's.
        become_owner(options.data_dir)
        reporter.start(operation, STAGES, file=source, data_dir=str(options.data_dir))
        try:
            restored = restore.run(
                file.readline, needs_header=needs_header, keep_store_id=keep_store_id
            )
        except BaseException as error:
            reporter.error(str(error))
            raise
    reporter.complete(seq=restored.end.seq)
    return restored


def show(directory: Path, restored: Restored) -> None:
    """Say what was made."""
    cut = ""
    if restored.end.seq < restored.last_seq:
        cut = f" of {restored.last_seq}"
    sys.stdout.write(
        f"{directory} is a store: {restored.manifests} manifests, {restored.end.seq} events{cut}\n"
        f"store id {restored.identity.store_id}, log hash {restored.end.log_hash.decode()}\n"
    )


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STANDARD:
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}"
            raise BadInputError(message) from error
        yield file


def _seq(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        message = f"{text!r} is no seq; they are numbers, from 1 on"
        raise argparse.ArgumentTypeError(message)
    return value


def _time(text: str) -> str:
    try:
        return utc_time(text, "--to-time")
    except BadRequestError as error:
        raise argparse.ArgumentTypeError(error.message) from error
