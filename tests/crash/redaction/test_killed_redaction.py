"""The process, or the power, ends at every single call of a redaction, from its event to the end.

Whatever the call: once the event was acknowledged, the data is gone from every file after the next
start, the chain holds, and the state is what the events say. Before that, nothing is lost.
"""

import pytest

from daemon.errors import DaemonError
from daemon.journal.checkpoint import CHECKPOINT_NAME
from daemon.redaction.pending import PendingErasures
from tests.support.crashes import CRASHES
from tests.support.faulty_disk import FaultyDisk
from tests.support.killed_redactions import (
    DATA,
    check,
    kill_at_reached,
    open_store,
    run_until_killed,
)
from tests.support.manual_timer import until


@pytest.mark.parametrize(
    ("crash", "archived"),
    [
        pytest.param(
            crash,
            archived,
            id=f"{crash}-{'archived' if archived else 'dirty'}",
            marks=()
            if (crash, archived) == ("power_cut_names_survive", True)
            else pytest.mark.long,
        )
        for crash in CRASHES
        for archived in (True, False)
    ],
)
async def test_whichever_call_is_the_last_the_data_is_gone_after_the_next_start(
    crash: str,
    archived: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=archived)
        died = ran.died
        await check(CRASHES[crash](disk), ran.acknowledged)

    assert killed_at > 40


@pytest.mark.long
@pytest.mark.parametrize("crash", ["killed", "power_cut"])
async def test_a_start_that_is_killed_while_it_finishes_is_followed_by_one_that_does(
    crash: str,
) -> None:
    first = FaultyDisk()
    ran = await run_until_killed(first, 45, archived=True)
    assert ran.died
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = CRASHES[crash](first)
        disk.kill_at(killed_at)
        failures: list[DaemonError] = []
        try:
            store = await open_store(disk, failures)
        except DaemonError:
            pass
        else:
            await until(lambda: store.redactions_pending == 0 or bool(failures))  # noqa: B023
            await store.close()
        died = len(disk.calls) >= kill_at_reached(disk)
        await check(CRASHES[crash](disk), ran.acknowledged)

    assert killed_at > 30


async def test_without_the_list_of_what_is_pending_data_would_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control: `redactions.json` is not written before the checkpoint passes."""

    def forget(pending: PendingErasures) -> None:
        del pending

    monkeypatch.setattr(PendingErasures, "save", forget)
    left = 0
    for killed_at in range(20, 60, 3):
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        try:
            await check(CRASHES["killed"](disk), ran.acknowledged)
        except AssertionError:
            left += 1
    assert left > 0


@pytest.mark.long
@pytest.mark.parametrize("lost", ["checkpoint", "index"])
async def test_where_the_journal_is_read_from_its_start_both_copies_are_told_apart(
    lost: str,
) -> None:
    """One copy of an event lost its payload, the other not yet, and the checkpoint is lost, too."""
    killed_at, died = 0, True
    while died:
        killed_at += 1
        disk = FaultyDisk()
        ran = await run_until_killed(disk, killed_at, archived=True)
        died = ran.died
        survivor = disk.after_kill()
        gone = DATA / (CHECKPOINT_NAME if lost == "checkpoint" else "index/manifests.jsonl")
        survivor.remove(gone)
        await check(survivor, ran.acknowledged)
