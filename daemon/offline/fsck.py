"""`manifestd fsck`: what is damaged, what can be rebuilt from where; with `--repair`, do it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from daemon.errors import DamagedStoreError, disk_errors
from daemon.journal.disk import Disk, OperatingSystemDisk
from daemon.offline.arguments import add_output, locked_store, offline_parser, say
from daemon.offline.remedies import Remedies
from daemon.offline.remedy import Lost, Mend, Remedy
from daemon.offline.repairing import Repair
from daemon.offline.verify import as_text, surveyed

if TYPE_CHECKING:
    from daemon.offline.survey import Survey

DAMAGED: Final = DamagedStoreError.exit_status
_DESCRIPTION: Final = """\
Say what is damaged in a store that no daemon has open, and what can be rebuilt from where:
snapshots from events, the archive from the journal, the journal from the archive, index,
checkpoint and the mark of a clean end from both. Without --repair nothing is changed.
Exit status: 0 nothing is damaged (any more), 70 something is, 75 a daemon has the store."""
_EXAMPLES: Final = (
    "manifestd fsck --data-dir /var/lib/manifestd",
    "manifestd fsck --repair --data-dir /var/lib/manifestd   (keep a copy of the directory first)",
)


def run(arguments: list[str]) -> int:
    """Check a store, repair it when told to; return the exit status."""
    parser = offline_parser("fsck", _DESCRIPTION, _EXAMPLES)
    add_output(parser)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="rebuild what can be; the damaged bytes are copied to quarantine/ first",
    )
    options = parser.parse_args(arguments)
    disk = OperatingSystemDisk()
    with locked_store(disk, options.data_dir):
        check = Check(disk, options.data_dir, repair=options.repair)
        check.run()
    say(check.as_json() if options.output == "json" else check.as_text())
    return DAMAGED if check.is_damaged else 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be done, or was, about one file."""

    file: str
    rebuilt_from: str | None = None
    lost: str | None = None
    kept: str | None = None

    def text(self, *, done: bool) -> str:
        """Return it as one line."""
        if self.lost is not None:
            return f"{self.file}: cannot be rebuilt: {self.lost}"
        kept = f"; as it was: {self.kept}" if self.kept else ""
        return f"{self.file}: {'was' if done else 'can be'} rebuilt from {self.rebuilt_from}{kept}"


class Check:
    """One run of fsck."""

    def __init__(self, disk: Disk, data_directory: Path, *, repair: bool) -> None:
        self.survey: Survey | None = None  # Of the store as it was found.
        self.after: Survey | None = None  # After a repair.
        self.outcomes: list[Outcome] = []
        self._disk = disk
        self._directory = data_directory
        self._repair = repair
        self._gave_up_reserve = False

    def run(self) -> None:
        """Survey, plan, and with `repair` write, then survey again.

        Raises:
            ConfigurationError: we may not; run it again as somebody who may.
            DiskFailedError: the disk failed; run it again.
            NoRoomForItError: there is no room for the new files; nothing was changed.
        """
        with disk_errors(self._directory, f"repairing {self._directory}"):
            if self._repair:  # A repair that was killed may have renamed and not synced.
                self._disk.sync_filesystem(self._directory)
            self.survey = surveyed(self._disk, self._directory)
            repair = Repair(self._disk, self._directory)
            for remedy in Remedies(self._disk, self._directory, self.survey).run():
                self.outcomes.append(self._outcome(remedy, repair))
            repair.finish()
            self._gave_up_reserve = repair.gave_up_reserve
        if self._repair:
            self.after = surveyed(self._disk, self._directory)

    @property
    def is_damaged(self) -> bool:
        """Whether the store is damaged, after the repair where there was one."""
        last = self.after or self.survey
        return last is None or bool(last.report.findings)

    @property
    def lost(self) -> list[Outcome]:
        """What cannot be rebuilt."""
        return [outcome for outcome in self.outcomes if outcome.lost is not None]

    def as_json(self) -> str:
        """Return the result as one line of JSON."""
        assert self.survey is not None
        result: dict[str, Any] = {
            "findings": self.survey.report.findings,
            "outcomes": self.outcomes,
            "repaired": self._repair,
            "verify": (self.after or self.survey).report.as_json(),
        }
        return msgspec.json.encode(result).decode()

    def as_text(self) -> str:
        """Return the result for people."""
        assert self.survey is not None
        report = self.survey.report
        lines = [finding.text() for finding in report.findings]
        lines += [outcome.text(done=self._repair) for outcome in self.outcomes]
        if self._gave_up_reserve:
            lines.append("note: journal/reserve gave its room; the next start makes it anew")
        if self.after is not None:
            return "\n".join([*lines, as_text(self.after)])
        lines += [f"note: {note}" for note in report.notes]
        return "\n".join([*lines, self._advice()])

    def _advice(self) -> str:
        if not self.is_damaged:
            return "nothing is damaged"
        if self.lost:
            return f"{len(self.lost)} files cannot be rebuilt; --repair mends the others"
        return "everything can be rebuilt: keep a copy of the directory, then add --repair"

    def _outcome(self, remedy: Remedy, repair: Repair) -> Outcome:
        file = str(remedy.path.relative_to(self._directory))
        if isinstance(remedy, Lost):
            return Outcome(file=file, lost=remedy.reason)
        assert isinstance(remedy, Mend)
        kept = repair.stage(remedy) if self._repair else None
        return Outcome(file=file, rebuilt_from=remedy.source, kept=kept)
