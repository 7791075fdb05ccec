"""Manifests with timers in an engine that lives in virtual time."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from actors.engine import Engine
from actors.rules import Rules
from protocol.events import CommittedEvent
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.registry import LifecycleRegistry
from protocol.statechart.definition import Send
from protocol.timers import arm
from tests.support.events import Chain, committed
from tests.support.memory_store import MemoryDisk
from tests.support.virtual_clock import VirtualClock

HOUR_S: Final = 3600
# A review that nobody does in time goes back; a reminder that no guard lets through.
LIFECYCLE: Final = """
id = "timed"
version = 1
initial = "DRAFT"
[states.DRAFT]
tags = ["mutable"]
on.submit = "REVIEW"
[states.REVIEW]
on.again = "REVIEW"
on.note = { actions = ["clear_rejection"] }
on.approve = { target = "APPROVED", actions = ["allow_revert"] }
[states.REVIEW.after]
"14h" = { target = "DRAFT", actions = ["record_rejection"] }
"1h" = { target = "APPROVED", guard = ["reason_given"], because = "only with a reason" }
[states.APPROVED]
on.publish = "LIVE"
after."5m" = "LIVE"
[states.LIVE]
type = "final"
"""


def timed_disk(clock: VirtualClock, delays_s: dict[str, Sequence[float]]) -> MemoryDisk:
    """Return a disk with manifests whose first event armed timers."""
    disk = MemoryDisk()
    for manifest_id, delays in delays_s.items():
        sends = [
            Send(event=f"after.DRAFT.{place}", delay_ms=round(delay_s * 1000))
            for place, delay_s in enumerate(delays, 1)
        ]
        chain = Chain(manifest_id, timers=arm(f"armed-{manifest_id}", clock.now(), sends))
        events = committed([chain.next()], len(disk.journal) + 1)
        disk.journal += events
        disk.manifests[manifest_id] = events
    return disk


def timed_rules(text: str = LIFECYCLE) -> Rules:
    """Return rules by which agents go through the lifecycle in `text`."""
    lifecycle = Lifecycle.read(text, "x.toml")
    return Rules(
        lifecycles=LifecycleRegistry([lifecycle]), lifecycle_by_kind={"agent": lifecycle.name}
    )


class Running(Protocol):
    """What has an engine."""

    @property
    def engine(self) -> Engine: ...


async def pass_time(house: Running, clock: VirtualClock, seconds: float) -> None:
    """Let time go by, and let the engine do all there is to do at every moment of it."""
    end = clock.timer.now + seconds
    while clock.wakes and clock.timer.now + clock.wakes[0] <= end:
        clock.advance(clock.wakes[0])
        await house.engine.directory.settle()
    clock.advance(end - clock.timer.now)


def fired(disk: MemoryDisk) -> list[CommittedEvent]:
    """Return the events that timers caused."""
    return [event for event in disk.journal if event.core.cause == "timer"]


def settings(clock: VirtualClock) -> dict[str, Any]:
    """Return what makes an engine live in virtual time."""
    return {"stamper": clock, "call_later": clock.call_later}


def after_crash(disk: MemoryDisk, events: int, snapshots: int) -> MemoryDisk:
    """Return the disk with its first `events`, and snapshots that are current to some of them."""
    left = MemoryDisk(journal=disk.journal[:events])
    for event in left.journal:
        left.manifests.setdefault(event.core.manifest_id, []).append(event)
    left.snapshots = {
        manifest_id: snapshot
        for manifest_id, snapshot in disk.snapshots.items()
        if snapshot.seq <= snapshots
    }
    return left
