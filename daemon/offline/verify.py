"""`manifestd verify`: read all of a store and say whether it is what was written."""

import argparse
import re
from pathlib import Path
from typing import Final

import msgspec

from daemon.errors import DamagedStoreError, disk_errors
from daemon.journal.disk import Disk, OperatingSystemDisk
from daemon.offline.arguments import add_output, locked_store, offline_parser, say
from daemon.offline.marks import Anchor
from daemon.offline.survey import Survey

DAMAGED: Final = DamagedStoreError.exit_status
_ANCHOR: Final = re.compile(r"(\d{1,19}):([0-9a-f]{64})")
_DESCRIPTION: Final = """\
Check every byte of a store that no daemon has open, and change nothing: checksums and hash
chains of all events, the log hash over the whole journal, the archive against the journal, every
snapshot against the replay of its events, index, checkpoint, and the kept lifecycles.
Exit status: 0 everything is what was written, 70 something is not, 75 a daemon has the store."""
_EXAMPLES: Final = (
    "manifestd verify --data-dir /var/lib/manifestd",
    "manifestd verify --data-dir /var/lib/manifestd -o json",
    "manifestd verify --data-dir /var/lib/manifestd --anchor 812:9f86d0…   (as it was said before)",
)


def run(arguments: list[str]) -> int:
    """Verify a store; return the exit status."""
    parser = offline_parser("verify", _DESCRIPTION, _EXAMPLES)
    add_output(parser)
    parser.add_argument(
        "--anchor",
        metavar="SEQ:LOG_HASH",
        type=_anchor,
        help="an anchor that an earlier run said and you kept elsewhere: without one the removal "
        "of the last events cannot be told",
    )
    options = parser.parse_args(arguments)
    disk = OperatingSystemDisk()
    with locked_store(disk, options.data_dir):
        survey = surveyed(disk, options.data_dir, options.anchor)
    say(as_json(survey) if options.output == "json" else as_text(survey))
    return DAMAGED if survey.report.findings else 0


def surveyed(disk: Disk, data_directory: Path, anchor: Anchor | None = None) -> Survey:
    """Return the survey of a store.

    Raises:
        ConfigurationError: we may not read it.
        DiskFailedError: it cannot be read.
    """
    survey = Survey(disk, data_directory, anchor)
    with disk_errors(data_directory, f"reading {data_directory}"):
        survey.run()
    return survey


def as_json(survey: Survey) -> str:
    """Return the result as one line of JSON."""
    return msgspec.json.encode(survey.report.as_json()).decode()


def as_text(survey: Survey) -> str:
    """Return the result for people."""
    report = survey.report
    lines = [finding.text() for finding in report.findings]
    lines += [f"note: {note}" for note in report.notes]
    lines += report.figure_lines()
    if report.findings:
        lines.append(f"{len(report.findings)} findings: manifestd fsck says what can be rebuilt")
    else:
        lines.append("everything is what was written; keep the anchor elsewhere")
    return "\n".join(lines)


def _anchor(text: str) -> Anchor:
    match = _ANCHOR.fullmatch(text)
    if match is None:
        message = f"{text!r} is no anchor; it is a seq, a colon and 64 lower-case hex digits"
        raise argparse.ArgumentTypeError(message)
    return Anchor(int(match[1]), match[2].encode())
