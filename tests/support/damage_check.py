"""The checker of promise 11: what a start, all reads and a repair make of one damaged file.

    right      everything that is read is what was written, and what was mended is said
    cut        as right, but the last, unarchived batch is gone: no power cut looks otherwise
    refused    a start, or the read of what is damaged, names file and place; nothing was changed

Promise:  anything else is an `AssertionError`. After a refusal `fsck` changes nothing, and
          `fsck --repair` brings back what was written, or says what cannot be.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from daemon.archive.layout import STATE_NAME
from daemon.errors import DamagedStoreError
from daemon.offline.fsck import Check
from protocol.erasure import gone_from
from protocol.errors import CorruptError
from protocol.events import CommittedEvent, DamagedEventError
from tests.support.damages import Damage
from tests.support.faulty_disk import FaultyDisk
from tests.support.small_store import DATA, NAMES, Contents, read_all_of, write_more

NOTHING_IN_IT: Final = (DATA / "journal" / "reserve", DATA / "lock")
HEADER: Final = b'{"batch":'  # Of a batch; it says how long the lines are.
_TEARS: Final = ("a zeroed sector", "a truncation")


def is_read_by_nobody(path: Path) -> bool:
    """Whether a start makes nothing of a file's bytes: an empty one, a half-written one, a kept one."""
    return path in NOTHING_IN_IT or path.suffix == ".tmp" or path.parent.name == "quarantine"


class Result(StrEnum):
    """How a start ended, and all reads after it."""

    RIGHT = "right"
    CUT = "cut"
    REFUSED = "refused"


class Case(NamedTuple):
    """A whole store, what is in it, and the seq up to which it is archived."""

    disk: FaultyDisk
    contents: Contents
    archived_seq: int

    def damaged(self, path: Path, damage: Damage) -> FaultyDisk:
        """Return the disk with one damaged file."""
        disk = self.disk.after_kill()
        disk.put(path, damage.content)
        if damage.other is not None:
            disk.put(*damage.other)
        return disk

    async def check(self, path: Path, damage: Damage) -> Result:
        """Start on the damaged store and read everything."""
        disk = self.damaged(path, damage)
        before = disk.files()
        with _warnings() as said:
            try:
                contents = await read_all_of(disk)
            except DamagedStoreError as error:
                refusal = error
            except CorruptError as error:
                return self._refused_read(path, damage, disk, error.details or {})
            else:
                return self._result(path, damage, contents, said)
        assert refusal.exit_status == 70
        assert disk.files() == before
        self._check_place(path, damage, refusal.path, refusal.line, refusal.seq)
        return Result.REFUSED

    def _refused_read(
        self, path: Path, damage: Damage, disk: FaultyDisk, details: Mapping[str, object]
    ) -> Result:
        assert _is_kept(disk.files(), path, damage.content, self.disk.files()[path])
        named = DATA / str(details.get("file"))
        self._check_place(path, damage, named, details.get("line"), details.get("seq"))
        return Result.REFUSED

    def _result(self, path: Path, damage: Damage, contents: Contents, said: list[str]) -> Result:
        if contents == self.contents:
            is_derived = path.name == STATE_NAME or path.parent != path.parents[1] / "manifests"
            looked_at = is_derived and not is_read_by_nobody(path) and path.suffix != ".log"
            assert said or not looked_at, "it was mended, and nobody was told"
            return Result.RIGHT
        count = len(contents.lines)
        assert damage.kind in _TEARS
        assert path.parent == DATA / "journal"
        assert self.archived_seq <= count < len(self.contents.lines)
        assert contents.lines == self.contents.lines[:count]
        return Result.CUT

    @staticmethod
    def _check_place(path: Path, damage: Damage, named: Path, line: object, seq: object) -> None:
        """A message names the file, or the segment or manifest beside which something lacks."""
        paths = [path] if damage.other is None else [path, damage.other[0]]
        assert any(named.name == one.name or one.parent in {named, named.parent} for one in paths)
        if path.suffix in {".jsonl", ".log"}:
            assert line is not None or seq is not None

    async def repair(self, path: Path, damage: Damage) -> bool:
        """Let `fsck` look, then repair; return whether everything is right afterwards."""
        disk = self.damaged(path, damage)
        before = disk.files()
        looked = Check(disk, DATA, repair=False)
        looked.run()
        assert disk.files() == before
        check = Check(disk, DATA, repair=True)
        check.run()
        assert [one.file for one in looked.outcomes] == [one.file for one in check.outcomes]
        if check.is_damaged:
            assert check.lost, check.as_text()
            assert all(one.lost for one in check.lost)
            return False
        after = disk.files()
        mended = [one.file for one in check.outcomes]
        if str(path.relative_to(DATA)) in mended:
            kept = [content for one, content in after.items() if one.parent.name == "quarantine"]
            assert not damage.content or damage.content in kept
        contents = await read_all_of(disk)
        self._check_repaired(contents, damage)
        await write_more(disk, NAMES)
        return True

    def _check_repaired(self, contents: Contents, damage: Damage) -> None:
        if contents != self.contents:
            count = len(contents.lines)
            assert damage.kind in _TEARS
            assert count >= self.archived_seq
            assert contents.lines == self.contents.lines[:count]


def _is_kept(files: dict[Path, bytes], path: Path, damaged: bytes, whole: bytes) -> bool:
    """Whether the damaged bytes are all there: in their file, or their end in `quarantine/`.

    A redaction may have gone on beside them, in other lines.
    """
    if files[path].startswith(damaged):
        return True
    lines, left = damaged.split(b"\n"), files[path].split(b"\n")
    changed = set(lines) - set(whole.split(b"\n"))
    if changed and changed <= set(left):
        return True
    if len(lines) == len(left) and all(map(_is_left_of, left, lines)):
        return True
    kept = [content for one, content in files.items() if one.parent.name == "quarantine"]
    return any(
        damaged.endswith(content) and files[path].startswith(damaged[: -len(content)])
        for content in kept
    )


def _is_left_of(line: bytes, before: bytes) -> bool:
    """Whether a line is what it was, or the same event without its data, or its batch's header."""
    if line == before or (line.startswith(HEADER) and before.startswith(HEADER)):
        return True
    try:
        one, other = CommittedEvent.read(line), CommittedEvent.read(before)
    except DamagedEventError:
        return False
    return one.hash == other.hash and gone_from(one.payload) > gone_from(other.payload)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what the daemon's log says meanwhile."""
    said: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "daemon.redaction.work":  # It warns of whatever is in quarantine.
                said.append(record.getMessage())

    handler = Listening(logging.WARNING)
    logger = logging.getLogger("daemon")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
