"""`verify` and `fsck --repair` on stores whose redaction ended at any call, also damaged ones.

An interrupted redaction is no damage. A repair leaves no file with data that it had lost already,
and after it the next start finishes what was begun.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from actors.histories import log_hash_of_feed, verified
from daemon.archive.layout import Layout
from daemon.offline.fsck import Check
from daemon.offline.verify import surveyed
from daemon.redaction.pending import REDACTIONS_NAME
from protocol.erasure import erased
from protocol.events import CommittedEvent
from protocol.redaction import FIELDS
from tests.support.crashes import CRASHES
from tests.support.damages import KINDS, Damage, some
from tests.support.faulty_disk import FaultyDisk
from tests.support.killed_redactions import (
    DATA,
    NAMES,
    check,
    open_store,
    run_until_killed,
)
from tests.support.manual_timer import until
from tests.support.redactions import SECRETS
from tests.support.small_store import make_small

if TYPE_CHECKING:
    from daemon.errors import DaemonError

SEED = 20261126
LAST_CALL = 86  # Of a run with an archive; one that dies later has finished.
EMPTY = (DATA / "journal" / "reserve", DATA / "lock")
_LOSSES = ("a zeroed sector", "a truncation")  # At the journal's end no power cut looks otherwise.


def calls_of_a_run(step: int) -> Iterator[int]:
    return iter(range(1, LAST_CALL + 1, step))


def secrets_in(disk: FaultyDisk) -> Counter[tuple[Path, bytes]]:
    """Count what is secret in each file but those that nobody reads back."""
    return Counter(
        {
            (path, secret): content.count(secret)
            for path, content in disk.files().items()
            for secret in SECRETS.values()
            if path.parent != Layout(DATA).quarantine
        }
    )


def repaired(disk: FaultyDisk, whole: FaultyDisk | None = None) -> Check:
    """Run `fsck --repair`; no file may hold anything secret that it did not hold before.

    `whole` is the store as it was before it was damaged.
    """
    before = secrets_in(whole or disk)
    done = Check(disk, DATA, repair=True)
    done.run()
    more = secrets_in(disk) - before
    assert not more, f"a repair brought back what was gone: {dict(more)}"
    return done


def nothing_is_damaged(disk: FaultyDisk) -> None:
    """Neither command finds anything, and the repair of nothing changes nothing."""
    before = disk.files()
    report = surveyed(disk, DATA).report
    assert not report.findings, [one.text() for one in report.findings]
    done = repaired(disk)
    assert not done.outcomes
    assert disk.files() == before


async def verify_by_the_daemon(disk: FaultyDisk) -> None:
    """What `manifestctl verify` does, at once after the start: the redaction goes on meanwhile."""
    failures: list[DaemonError] = []
    store = await open_store(disk, failures)
    for row in store.summaries():
        await verified(store, row)
    await log_hash_of_feed(store, store.last_seq, store.log_hash)
    await until(lambda: store.redactions_pending == 0)
    await store.close()
    assert not failures


@pytest.mark.parametrize(
    ("crash", "archived", "step"),
    [
        pytest.param("killed", True, 9, id="some, killed"),
        pytest.param("power_cut_names_survive", False, 9, id="some, power cut"),
        *(
            pytest.param(crash, archived, 1, marks=pytest.mark.long)
            for crash in CRASHES
            for archived in (True, False)
        ),
    ],
)
async def test_a_redaction_that_was_interrupted_is_no_damage_and_is_finished(
    crash: str,
    archived: bool,  # noqa: FBT001 (a parameter of the test)
    step: int,
) -> None:
    for killed_at in calls_of_a_run(step):
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=archived)
        left = CRASHES[crash](disk)
        nothing_is_damaged(left)
        await verify_by_the_daemon(left.after_kill())
        await check(left, ran.acknowledged)
        nothing_is_damaged(left)


# Damage on top of it.


async def see(
    disk: FaultyDisk, acknowledged: list[CommittedEvent], whole: FaultyDisk | None = None
) -> str:
    """Repair a damaged store, start, let it finish; return what came of it."""
    done = repaired(disk, whole)
    if done.is_damaged:
        assert done.lost, done.as_text()
        return "lost"
    nothing_is_damaged(disk.after_kill())
    await check(disk, acknowledged)
    return "mended" if done.outcomes else "left to the start"


def some_damages(disk: FaultyDisk, random: Random, others: int) -> Iterator[tuple[Path, Damage]]:
    """Yield damages of every file of a store that holds anything."""
    for path, content in disk.files().items():
        if path in EMPTY or path.parent == Layout(DATA).quarantine:
            continue
        for damage in some(content, random, flips=1, others=others):
            if path.parent.name != "journal" or damage.kind not in _LOSSES:
                yield path, damage


async def damage_and_repair(crash: str, step: int, others: int) -> Counter[str]:
    """Damage each file of the stores that runs leave, one at a time; count what came of it."""
    seen: Counter[str] = Counter()
    for killed_at in calls_of_a_run(step):
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        whole = CRASHES[crash](disk)
        random = Random(f"{SEED}-{crash}-{killed_at}")  # noqa: S311 (repeatable, not secret)
        for path, damage in some_damages(whole, random, others):
            damaged = whole.after_kill()
            damaged.put(path, damage.content)
            try:
                seen[await see(damaged, ran.acknowledged, whole)] += 1
            except BaseException as error:
                error.add_note(f"call {killed_at}, {damage.kind}, place {damage.place}, of {path}")
                raise
    return seen


@pytest.mark.parametrize(
    ("crash", "step", "others"),
    [
        pytest.param("killed", 17, 0, id="a few"),
        *(pytest.param(one, 2, 3, id=f"many-{one}", marks=pytest.mark.long) for one in CRASHES),
    ],
)
async def test_a_damaged_store_is_mended_and_its_redaction_finished(
    crash: str, step: int, others: int
) -> None:
    assert set(KINDS) > set(_LOSSES)

    seen = await damage_and_repair(crash, step, others)

    assert seen["mended"] > seen["lost"], seen


# The store in which one copy has lost the data and the other has not.


async def half_redacted() -> tuple[FaultyDisk, list[CommittedEvent]]:
    """Return a store whose archive lost the data of `a`, and whose journal holds it still."""
    log = Layout(DATA).log("a")
    for killed_at in range(LAST_CALL // 4, LAST_CALL):  # Not before: the event comes first.
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        found = {path for (path, _), count in secrets_in(disk).items() if count}
        if log not in found and any(path.suffix == ".jsonl" for path in found):
            return disk.after_kill(), ran.acknowledged
    message = "no call ends between archive and journal"
    raise AssertionError(message)


def with_damaged_log(whole: FaultyDisk) -> FaultyDisk:
    """Return the store with version 1 of `a` damaged in the archive, which lost version 2."""
    disk, log = whole.after_kill(), Layout(DATA).log("a")
    disk.put(log, disk.files()[log].replace(b"author-7", b"author-8", 1))
    return disk


async def test_a_log_that_is_made_anew_from_the_journal_stays_without_the_data() -> None:
    whole, acknowledged = await half_redacted()

    assert await see(with_damaged_log(whole), acknowledged) == "mended"


async def test_who_repairs_is_told_that_the_damaged_bytes_may_hold_what_was_redacted() -> None:
    whole, _ = await half_redacted()
    assert "quarantine/ may hold" not in repaired(whole).as_text()
    disk = whole.after_kill()
    (journal, _), *_ = (
        found for found, count in secrets_in(disk).items() if count and found[0].suffix == ".jsonl"
    )
    disk.put(journal, disk.files()[journal].replace(b'"version":', b'"Version":', 1))

    done = repaired(disk)

    assert any(
        secret in disk.files()[path] for path in kept_in(disk) for secret in SECRETS.values()
    )
    assert "note: quarantine/ may hold what was redacted (1 files)" in done.as_text()
    assert "quarantine/ may hold" in "".join(surveyed(disk, DATA).report.notes)


async def test_where_nothing_was_redacted_nothing_is_said_of_it() -> None:
    disk, _ = await make_small()
    log = next(path for path in disk.files() if path.name == "events.log")
    disk.put(log, disk.files()[log].replace(b"author-7", b"author-8", 1))

    done = repaired(disk)

    assert kept_in(disk)
    assert "redacted" not in done.as_text()


def kept_in(disk: FaultyDisk) -> list[Path]:
    return [path for path in disk.files() if path.parent == Layout(DATA).quarantine]


async def test_the_check_sees_a_repair_that_takes_the_journal_s_copy_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control: nobody asks which of two copies lost more."""
    whole, acknowledged = await half_redacted()

    def as_it_is(known: Mapping[int, bytes], version: int, line: bytes) -> bytes:
        del known, version
        return line

    monkeypatch.setattr("daemon.offline.remedies.lesser", as_it_is)
    # Alone it does no harm: the redaction itself is known, and taken out once more.
    assert await see(with_damaged_log(whole), acknowledged) == "mended"
    monkeypatch.setattr("daemon.offline.remedies.without_ordered", lambda events, _: events)

    with pytest.raises(AssertionError, match="brought back"):
        await see(with_damaged_log(whole), acknowledged)


async def test_where_the_redaction_itself_is_lost_the_copy_that_lost_more_is_taken() -> None:
    """Its event is damaged in both copies: all that tells of it is that one copy lost the data."""
    whole, _ = await half_redacted()
    disk = with_damaged_log(whole)
    for path, content in disk.files().items():
        if path.suffix in {".jsonl", ".log"} and path.parent.name != "index":
            disk.put(path, content.replace(b'"type":"redacted"', b'"type":"REDACTED"'))
    disk.put(DATA / REDACTIONS_NAME, b"?")

    repaired(disk)


def flips_of_the_list(whole: FaultyDisk) -> Iterator[bytes]:
    content = whole.files()[DATA / REDACTIONS_NAME]
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        yield bytes(damaged)
    yield from (content[:size] for size in range(0, len(content), 16))


@pytest.mark.parametrize(
    "step", [pytest.param(97, id="some"), pytest.param(1, id="every", marks=pytest.mark.long)]
)
async def test_a_damaged_list_of_what_is_pending_is_found_and_made_anew(step: int) -> None:
    whole, acknowledged = await half_redacted()

    for content in [*flips_of_the_list(whole)][::step]:
        disk = whole.after_kill()
        disk.put(DATA / REDACTIONS_NAME, content)
        findings = surveyed(disk, DATA).report.findings
        assert [one.file for one in findings] == [REDACTIONS_NAME]
        assert await see(disk, acknowledged) == "mended"


async def test_a_list_that_was_removed_is_missed_as_long_as_a_copy_holds_the_data() -> None:
    whole, acknowledged = await half_redacted()
    whole.remove(DATA / REDACTIONS_NAME)
    whole.sync_directory(DATA)

    findings = surveyed(whole, DATA).report.findings

    assert [one.file for one in findings] == [REDACTIONS_NAME]
    assert await see(whole, acknowledged) == "mended"


async def test_copies_that_differ_without_a_redaction_are_a_contradiction() -> None:
    disk = FaultyDisk()
    await run_until_killed(disk, 1, archived=True)
    left, log = disk.after_kill(), Layout(DATA).log("a")
    lines = left.files()[log].split(b"\n")
    lines[1] = without_payload(lines[1])
    left.put(log, b"\n".join(lines))

    findings = surveyed(left, DATA).report.findings

    assert "no redaction says why" in findings[0].reason


def without_payload(line: bytes) -> bytes:
    return erased(CommittedEvent.read(line), FIELDS).line


def test_every_name_has_a_history_that_is_redacted() -> None:
    """The one thing that the loops above take for granted: both manifests lose something."""
    disk = FaultyDisk()
    ran = asyncio.run(run_until_killed(disk, 1 << 20, archived=True))

    assert {one.core.manifest_id for one in ran.acknowledged if one.core.redacts} == set(NAMES)
    assert not ran.died
    assert len(disk.calls) > LAST_CALL
