"""The parts of a command, each alone: deciding, the kernel, the atomic write, the log, recovery."""

from collections.abc import Callable, Sequence
from itertools import count, islice
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Final, Self

from actors.case import Case
from actors.decide import decide
from actors.drafts import canonical_document
from actors.pipeline import RegistrationPipeline
from actors.rules import Rules
from actors.stamps import SystemStamper
from actors.timers import REVIEW_INTERVAL_S, Scheduler
from bench.figures import Figure, milliseconds, percentile, timed_ns
from bench.walk import STEPS_PER_WALK, requests
from daemon import open_pipeline
from daemon.journal.batch import encode_batch
from daemon.journal.disk import OperatingSystemDisk
from protocol.codec import decode_request
from protocol.commands import Write
from protocol.events import GENESIS, CommittedEvent, NewEvent, digest_hex
from protocol.principals import ROLES, Principal
from protocol.snapshots import StateSnapshot, apply, encode_snapshot
from protocol.statechart.definition import Send
from protocol.statechart.kernel import step
from protocol.timers import arm

TRANSITION_MAX_MS: Final = 10.0
WRITE_MAX_MS: Final = 50.0
APPEND_MAX_MS: Final = 5.0
RECOVERY_MAX_MS: Final = 5.0
KERNEL_STEP_MAX_US: Final = 5.0
ARM_MAX_US: Final = 20.0
IDLE_MINUTE_MAX_US: Final = 600.0  # A hundred-thousandth of a core.
DAY_MS: Final = 86_400_000
RECOVERED_EVENTS: Final = 100
_RECOVERED_ID: Final = "io.github.acme/recovered@1.0.0"


class Walked:
    """Manifests taken from create to register in memory, and how long each transition took."""

    def __init__(self, manifests: int) -> None:
        rules = Rules()
        roles = frozenset(ROLES)
        stamper = SystemStamper()
        self.transitions_ns: list[int] = []
        self.events: list[CommittedEvent] = []
        self.states: list[StateSnapshot] = []
        state: StateSnapshot | None = None
        for place, body in enumerate(islice(requests(0), STEPS_PER_WALK * manifests)):
            request = decode_request(body)
            assert isinstance(request, Write)
            if place % STEPS_PER_WALK == 0:
                state = None
            who = Principal(name=request.principal or "", authenticated=True, roles=roles)
            document = canonical_document(request)
            digest = digest_hex(body)
            begun_ns = perf_counter_ns()
            decision = decide(Case(state, request, who, digest, stamper.stamp(), rules, document))
            assert isinstance(decision, NewEvent), decision
            event = CommittedEvent.of(decision, place + 1)
            state = apply(state, event)
            if event.core.states_from is not None:
                self.transitions_ns.append(perf_counter_ns() - begun_ns)
            self.events.append(event)
            self.states.append(state)


def state_transition(walked: Walked) -> Figure:
    """A transition without I/O: guards, statechart, event, hash, next state."""
    took_ns = sorted(walked.transitions_ns)
    return milliseconds("state_transition", took_ns, TRANSITION_MAX_MS, "decide and apply, no I/O")


def kernel_step(repeats: int) -> Figure:
    """One step of the statechart, guards answered at once."""
    rules = Rules()
    chart = rules.lifecycles.get(rules.lifecycle_for("mcp-server").name).chart
    took_ns = timed_ns(lambda: step(chart, ("REVIEWED",), {}, "approve", lambda *_: True), repeats)
    value_us = percentile(took_ns, 0.5) / 1e3
    return Figure(
        "kernel_step", value_us, "us", KERNEL_STEP_MAX_US, note=f"median of {len(took_ns)}"
    )


def file_persistence(walked: Walked, folder: Path, repeats: int) -> Figure:
    """A snapshot written atomically: temp file, fsync, rename, fsync of the folder."""
    disk, path = OperatingSystemDisk(), folder / "state.json"
    states = iter(walked.states)
    took_ns = timed_ns(lambda: disk.write_durably(path, encode_snapshot(next(states))), repeats)
    return milliseconds("file_persistence", took_ns, WRITE_MAX_MS, "atomic write of state.json")


def event_log_append(walked: Walked, folder: Path, repeats: int) -> Figure:
    """One event, alone in its batch, appended to a log and synced."""
    file = OperatingSystemDisk().open_append(folder / "journal.jsonl", create=True)
    events = iter(walked.events)

    def append() -> None:
        file.write(encode_batch([next(events)], GENESIS.encode()).data)
        file.sync()

    took_ns = timed_ns(append, repeats)
    file.close()
    return milliseconds("event_log_append", took_ns, APPEND_MAX_MS, "a batch of one, with fsync")


async def event_recovery(folder: Path, repeats: int) -> Figure:
    """One manifest rebuilt from its `RECOVERED_EVENTS` events in a store that was opened anew."""
    async with open_pipeline(folder) as pipeline:
        await _make_history(pipeline)
    took_ns = []
    async with open_pipeline(folder) as pipeline:
        for _ in range(repeats):
            begun_ns = perf_counter_ns()
            recovered = await pipeline.recover_from_events(_RECOVERED_ID)
            took_ns.append(perf_counter_ns() - begun_ns)
        stored = await pipeline.load_state(_RECOVERED_ID)
    assert recovered.version == RECOVERED_EVENTS
    assert encode_snapshot(recovered) == encode_snapshot(stored)
    what = f"{RECOVERED_EVENTS} events read, checked, replayed"
    return milliseconds("event_recovery", sorted(took_ns), RECOVERY_MAX_MS, what)


class Waiting:
    """Stands in for the loop: keeps what it is to call, and calls it when told to."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = self.cancel

    def call_later(self, _delay_s: float, wake: Callable[[], None], /) -> Self:
        """Keep `wake`."""
        self.wake = wake
        return self

    def cancel(self) -> None:
        """Keep it all the same."""


def timers(armed: int) -> Sequence[Figure]:
    """So many timers: what arming one takes, and what all of them take while none is due."""
    loop, now = Waiting(), SystemStamper().now()
    scheduler = Scheduler(SystemStamper().now, lambda _manifest_id, _timer: None)
    scheduler.start(loop.call_later)
    armed_by_id = {}
    for number in range(armed):  # In an order that is neither that of due times nor its reverse.
        delay_ms = DAY_MS + number * 7919 % armed
        send = Send(event="after.REVIEWED.1", delay_ms=delay_ms)
        armed_by_id[f"m-{number}"] = arm(f"event-{number}", now, [send])
    begun_ns = process_time_ns()
    for manifest_id, its_timers in armed_by_id.items():
        scheduler.set(manifest_id, its_timers)
    arming_us = (process_time_ns() - begun_ns) / armed / 1e3
    looks = 1000
    begun_ns = process_time_ns()
    for _ in range(looks):
        loop.wake()
    minute_us = (process_time_ns() - begun_ns) / looks / 1e3 * 60 / REVIEW_INTERVAL_S
    assert scheduler.waiting == armed
    note = f"CPU, {armed} armed"
    return (
        Figure("timer_arm", arming_us, "us", ARM_MAX_US, note=note),
        Figure("timers_idle_minute", minute_us, "us", IDLE_MINUTE_MAX_US, note=note),
    )


async def _make_history(pipeline: RegistrationPipeline) -> None:
    """Submit and reject, over and over; each submission voids what the rejection said."""
    document = {"name": "recovered", "version": "1.0.0", "description": "Often sent back."}
    result = await pipeline.create(_RECOVERED_ID, document, "agent")
    for turn in count():
        if result.version == RECOVERED_EVENTS:
            return
        target = "DRAFT" if turn % 2 else "REVIEWED"
        result = await pipeline.transition_state(
            _RECOVERED_ID, target, reason=f"turn {turn}: the description says too little"
        )
