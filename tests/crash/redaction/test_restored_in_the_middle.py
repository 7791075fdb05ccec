"""What was exported while a redaction was under way, or had ended at any call of it, is imported.

The event that orders the redaction is in the file, and so may the data be: the journal still had it.
"""

import io
from pathlib import Path

import pytest

from daemon.errors import DamagedStoreError
from daemon.journal.disk import OperatingSystemDisk
from daemon.offline.building import StoreBuilder
from daemon.offline.journal_scan import intact_lines
from daemon.offline.restoring import STAGES, Restore
from protocol.backup import lifecycle_line
from protocol.events import CommittedEvent
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.progress import Clock, ProgressReporter
from tests.support.faulty_disk import FaultyDisk
from tests.support.killed_redactions import (
    DATA,
    LIFECYCLE,
    NAMES,
    data_is_gone,
    run_until_killed,
)
from tests.support.redactions import SECRETS


async def journal_after(killed_at: int) -> list[CommittedEvent]:
    """Return the events of a journal as the process left it: what an export would read there."""
    disk = FaultyDisk()
    await run_until_killed(disk, killed_at, archived=True)
    segments = [content for path, content in disk.files().items() if path.suffix == ".jsonl"]
    lines = {seq: line for content in segments for seq, line in intact_lines(content).items()}
    return [CommittedEvent.read(lines[seq]) for seq in sorted(lines)]


def imported(events: list[CommittedEvent], directory: Path) -> dict[Path, bytes]:
    """Import them; return the files, as if they were in `DATA`."""
    definition = LifecycleRegistry.builtin().get(LIFECYCLE).to_json()
    lines = [lifecycle_line(LIFECYCLE, definition), *(event.line for event in events)]
    reporter = ProgressReporter(lambda _: None, Clock(lambda: 0, lambda: 0))
    reporter.start("import", STAGES)
    restore = Restore(
        OperatingSystemDisk(), directory, reporter, source="lines", segment_size_bytes=2500
    )
    content = io.BytesIO(b"".join(line + b"\n" for line in lines))
    restore.run(content.readline, needs_header=False, keep_store_id=False)
    found = (path for path in directory.rglob("*") if path.is_file())
    return {DATA / path.relative_to(directory): path.read_bytes() for path in found}


def has_both(events: list[CommittedEvent]) -> bool:
    """Whether the data is there, and the event that orders it to go."""
    ordered = {one.core.manifest_id for one in events if one.core.redacts is not None}
    secret = SECRETS["reason"]
    return any(secret in one.line and one.core.manifest_id in ordered for one in events)


@pytest.mark.parametrize(
    "step", [pytest.param(8, id="some"), pytest.param(1, id="every", marks=pytest.mark.long)]
)
async def test_an_import_holds_nothing_that_its_own_events_redact(
    tmp_path: Path, step: int
) -> None:
    with_both = 0
    for killed_at in range(1, 88, step):
        events = await journal_after(killed_at)
        ordered = {one.core.manifest_id for one in events if one.core.redacts is not None}
        with_both += has_both(events)

        files = imported(events, tmp_path / str(killed_at))

        data_is_gone(files, ordered)
        for name in set(NAMES) - ordered:
            log = next(path for path in files if path.match(f"*/{name}/events.log"))
            assert all(secret in files[log] for secret in SECRETS.values())
    assert with_both


async def test_the_check_sees_an_import_that_takes_every_line_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    journals = [await journal_after(killed_at) for killed_at in range(1, 88, 8)]
    events = next(one for one in journals if has_both(one))
    monkeypatch.setattr(StoreBuilder, "_erase", lambda _: None)

    with pytest.raises(DamagedStoreError, match="is to lose"):  # Its own check of what it built.
        imported(events, tmp_path / "checked")
    monkeypatch.setattr(Restore, "_check", lambda _, __: None)
    with pytest.raises(AssertionError, match="is in"):
        data_is_gone(imported(events, tmp_path / "unchecked"), NAMES)
