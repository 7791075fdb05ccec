"""Progress events: which are sent, and what they say."""

import itertools
from typing import Any

import pytest

from protocol.progress import (
    INTERVAL_NS,
    Clock,
    ProgressEvent,
    ProgressReporter,
    overall_progress,
    progress_text,
    progress_topic,
)

STAGES = ("read", "check", "write")


class Watch:
    """A reporter on clocks that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.events: list[ProgressEvent] = []
        clock = Clock(wall_ns=lambda: 0, monotonic_ns=lambda: self.now_ns)
        self.reporter = ProgressReporter(self.events.append, clock)

    @property
    def types(self) -> list[str]:
        """The types of what was sent."""
        return [event.type.value for event in self.events]


@pytest.fixture
def watch() -> Watch:
    """Return a watch whose operation has started."""
    made = Watch()
    made.reporter.start("backup", STAGES, files=3)
    return made


def test_an_operation_without_hurry_tells_everything(watch: Watch) -> None:
    steps: list[tuple[Any, ...]] = [("stage", "read"), ("progress", 0.5), ("stage", "check")]
    for name, argument in steps:
        watch.now_ns += INTERVAL_NS
        getattr(watch.reporter, name)(argument)
    watch.now_ns += INTERVAL_NS
    watch.reporter.complete(bytes=7)

    assert watch.types == [
        *("start", "stage-start", "progress", "stage-complete", "stage-complete", "complete"),
    ]


def test_start_complete_and_error_are_sent_however_soon_they_come(watch: Watch) -> None:
    watch.reporter.stage("read")
    watch.reporter.progress(0.3)
    watch.reporter.complete()
    watch.reporter.start("backup", STAGES)
    watch.reporter.error("no room")

    assert watch.types == ["start", "complete", "start", "error"]


def test_what_comes_between_is_sent_at_most_every_50_ms(watch: Watch) -> None:
    watch.reporter.stage("read")
    for step in range(1000):  # A second of it.
        watch.now_ns += 1_000_000
        watch.reporter.progress(step / 1000)

    assert len(watch.events) == 1 + 1000 // 50
    times = [event.elapsed_ms for event in watch.events]
    assert min(after - before for before, after in itertools.pairwise(times)) >= 50


def test_progress_never_goes_back_and_ends_at_the_whole(watch: Watch) -> None:
    for stage in STAGES:
        watch.reporter.stage(stage)
        for fraction in (0.2, 0.9, 0.4, 7.0):
            watch.now_ns += INTERVAL_NS
            watch.reporter.progress(fraction)
    watch.reporter.complete()

    overall = [event.overall_progress for event in watch.events]
    assert overall == sorted(overall)
    assert overall[-1] == 1.0
    assert all(0 <= event.stage_progress <= 1 for event in watch.events)


def test_an_event_names_operation_stage_and_place(watch: Watch) -> None:
    watch.now_ns += INTERVAL_NS
    watch.reporter.stage("check", files=2)
    event = watch.events[-1]

    assert (event.operation, event.stage, event.stage_index, event.total_stages) == (
        *("backup", "check", 2, 3),
    )
    assert event.overall_progress == pytest.approx(1 / 3, abs=1e-3)
    assert event.elapsed_ms == 50
    assert event.timestamp == "1970-01-01T00:00:00.000000Z"
    assert event.metadata == {"files": 2}
    assert progress_topic(event.operation) == b"progress/backup"


def test_a_stage_that_the_operation_does_not_have_is_a_bug(watch: Watch) -> None:
    with pytest.raises(AssertionError):
        watch.reporter.stage("think")


def test_overall_progress_counts_every_stage_alike() -> None:
    assert overall_progress(0, 4, 0.0) == 0
    assert overall_progress(1, 4, 0.5) == 0.125
    assert overall_progress(4, 4, 1.0) == 1.0
    assert overall_progress(0, 0, 0.0) == 0


def test_an_event_can_be_said_in_a_line(watch: Watch) -> None:
    watch.now_ns += INTERVAL_NS
    watch.reporter.stage("check")
    watch.reporter.error("no room")
    watch.reporter.complete()

    assert [progress_text(event) for event in watch.events] == [
        "backup 0%",
        "backup 33% (check)",
        "backup failed: no room",
        "backup complete after 0.1 s",
    ]
