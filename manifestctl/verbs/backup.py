"""`backup`: every event of a working daemon up to one seq, in one checked file."""

import errno
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from manifestctl.arguments import Verb
from manifestctl.durable_file import DurableFile, FileError
from manifestctl.progress_line import progress_reporter
from manifestctl.session import Session
from protocol.backup import BackupEnd, BackupError, BackupHeader, BackupReader
from protocol.errors import CorruptError, StorageFullError
from protocol.progress import FORMS, ProgressReporter

if TYPE_CHECKING:
    from manifestctl.backup_pages import BackupPages

STANDARD: Final = "-"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_STAGES: Final = ("events", "check")


class BackupSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, for `-o json`."""

    file: str
    store_id: str
    created_at: str
    seq: int
    manifests: int
    lifecycles: int
    log_hash: str
    sha256: str


def add_progress(parser: ArgumentParser) -> None:
    """Add `--progress`."""
    parser.add_argument(
        "--progress",
        choices=FORMS,
        default="auto",
        help="tell on standard error how far it is (default: as text on a terminal)",
    )


def _add_backup(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to; - is standard output")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="check a backup that is there, from its first byte to its last; needs no daemon; "
        "- is standard input",
    )
    add_progress(parser)


def _backup(session: Session) -> int:
    arguments = session.arguments
    path = Path(arguments.file)
    reporter = progress_reporter(arguments.progress)
    if arguments.verify:
        return _verify(session, path, reporter)
    return _write(session, path, reporter)


def _verify(session: Session, path: Path, reporter: ProgressReporter) -> int:
    reporter.start("verify", _STAGES[1:], file=str(path))
    try:
        with ExitStack() as stack:
            file: BinaryIO = sys.stdin.buffer
            if str(path) != STANDARD:
                file = stack.enter_context(path.open("rb"))
            reporter.stage(_STAGES[1])
            reader = _checked(file, path, reporter)
    except OSError as error:
        raise FileError("read", path, error) from error
    reporter.complete()
    _show(session, path, reader)
    return 0


def _write(session: Session, path: Path, reporter: ProgressReporter) -> int:
    from manifestctl.backup_pages import BackupPages  # noqa: PLC0415 (`--verify` opens no socket)

    reporter.start("backup", _STAGES, file=str(path))
    try:
        pages = BackupPages(session.client, reporter)
        reporter.stage(_STAGES[0])
        if str(path) == STANDARD:
            _copy(pages.lines(), sys.stdout.buffer)
            reporter.complete(seq=pages.opening.seq)
            return 0
        reader = _write_file(pages, path, reporter)
    except FileError as error:
        reporter.error(str(error))
        if error.cause.errno in _NO_ROOM:
            raise StorageFullError(
                f"{error}; no backup was made", suggestion="free some room, or choose another place"
            ) from error
        raise
    except BaseException as error:
        reporter.error(str(error))
        raise
    reporter.complete(seq=pages.opening.seq)
    _show(session, path, reader)
    return 0


def _write_file(pages: "BackupPages", path: Path, reporter: ProgressReporter) -> BackupReader:
    readers: list[BackupReader] = []

    def check(file: BinaryIO) -> None:
        reporter.stage(_STAGES[1])
        readers.append(_checked(file, path, reporter))

    with DurableFile(path) as file:
        for line in pages.lines():
            file.write(line)
        file.keep(check)
    return readers[0]


def _copy(lines: Iterator[bytes], out: BinaryIO) -> None:
    out.writelines(lines)
    out.flush()


def _checked(file: BinaryIO, path: Path, reporter: ProgressReporter) -> BackupReader:
    """Read a backup from where `file` stands to its end."""
    reader = BackupReader()
    try:
        for _ in reader.items(file.readline):
            assert reader.header is not None
            reporter.progress(reader.log.seq / max(reader.header.seq, 1), seq=reader.log.seq)
    except BackupError as error:
        reporter.error(str(error))
        message = f"{path}, {error}"
        raise CorruptError(message, details={"file": str(path), "line": error.line}) from error
    return reader


def _show(session: Session, path: Path, reader: BackupReader) -> None:
    header, end = reader.header, reader.end
    assert isinstance(header, BackupHeader)
    assert isinstance(end, BackupEnd)
    summary = BackupSummary(
        file=str(path),
        store_id=header.store_id,
        created_at=header.created_at,
        seq=header.seq,
        manifests=end.manifests,
        lifecycles=header.lifecycles,
        log_hash=header.log_hash,
        sha256=end.sha256,
    )

    def people() -> None:
        session.output.line(
            f"{path} is whole: {summary.manifests} manifests, {summary.seq} events, "
            f"made {summary.created_at}"
        )
        session.output.line(f"log hash at seq {summary.seq}: {summary.log_hash}")

    session.output.one(summary, str(path), people)


_EXAMPLES: Final = """\
  manifestctl backup /var/backups/manifestd/$(date +%F).backup
  manifestctl backup --verify /var/backups/manifestd/2026-11-26.backup
  manifestctl backup - | zstd | ssh vault 'cat > manifestd.backup.zst'
  zstd -dc manifestd.backup.zst | manifestctl backup --verify -

The daemon goes on working; the backup holds every event up to the moment when it began. Restore it
with: manifestd restore FILE --data-dir DIR
"""

VERBS: Final = {"backup": Verb(_add_backup, _backup, _EXAMPLES)}
