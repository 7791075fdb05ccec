"""What waits for the archive, while some of it is being written."""

from daemon.archive.dirty import DirtyLimits, DirtyManifest, DirtyManifests
from protocol.events import CommittedEvent
from protocol.snapshots import StateSnapshot, replay
from tests.support.events import Chain, committed


def history(name: str, count: int, first_seq: int = 1) -> list[CommittedEvent]:
    chain = Chain(name)
    return committed((chain.next() for _ in range(count)), first_seq)


def state(events: list[CommittedEvent]) -> StateSnapshot:
    snapshot = replay(events)
    assert snapshot is not None
    return snapshot


def test_an_entry_that_is_being_written_does_not_change() -> None:
    dirty = DirtyManifests()
    first, second = history("a", 2)
    dirty.add(first)
    (entry,) = dirty.take()

    dirty.add(second)

    assert entry.events == [first]
    both = dirty.get("a")
    assert both is not None
    assert both.events == [first, second]


def test_what_was_written_is_forgotten_and_what_came_meanwhile_is_not() -> None:
    dirty = DirtyManifests()
    first, second = history("a", 2)
    dirty.add(first)
    dirty.take()
    dirty.add(second)

    dirty.settle()

    assert "a" in dirty
    assert dirty.first_seq == 2
    assert [entry.events for entry in dirty.take()] == [[second]]


def test_nothing_is_left_when_everything_was_written() -> None:
    dirty = DirtyManifests()
    dirty.add(*history("a", 1))
    dirty.take()

    dirty.settle()

    assert (dirty.first_seq, dirty.holds(0.001), len(dirty)) == (None, False, 0)
    assert "a" not in dirty
    assert dirty.get("a") is None


def test_what_could_not_be_written_comes_back_before_what_came_meanwhile() -> None:
    dirty = DirtyManifests()
    a, b = history("a", 3), history("b", 1, first_seq=4)
    dirty.add(a[0])
    dirty.save(state(a[:1]))
    dirty.take()
    dirty.add(a[1])
    dirty.save(state(a[:2]))
    dirty.add(b[0])

    dirty.put_back()

    entries = dirty.take()
    assert [(entry.manifest_id, entry.events) for entry in entries] == [("a", a[:2]), ("b", b)]
    assert entries[0].snapshot == state(a[:2])
    assert entries[0].is_current()
    assert not entries[1].is_current()


def test_the_first_seq_is_right_also_where_a_snapshot_was_mended_first() -> None:
    dirty = DirtyManifests()
    a = history("a", 2)
    dirty.save(state(a[:1]))

    dirty.add(*history("b", 1, first_seq=2))
    dirty.add(CommittedEvent(3, a[1].line, a[1].core, a[1].payload, a[1].hash))

    assert dirty.first_seq == 2
    dirty.take()
    dirty.put_back()
    assert dirty.first_seq == 2


def test_each_limit_alone_makes_it_full() -> None:
    event = history("a", 1)[0]
    size = len(event.line)
    for limits in (
        DirtyLimits(1, 9, 9 * size),
        DirtyLimits(9, 1, 9 * size),
        DirtyLimits(9, 9, size),
    ):
        dirty = DirtyManifests(limits)
        assert not dirty.holds(0.001)

        dirty.add(event)

        assert dirty.holds(1.0)


def test_what_a_crash_left_counts_and_is_suspect() -> None:
    dirty = DirtyManifests(DirtyLimits(manifests=4, events=4, size_bytes=1 << 20))
    events = history("a", 2)

    dirty.restore([DirtyManifest("a", events, state(events), suspect=True)])

    assert dirty.holds(0.5)
    assert not dirty.holds(0.51)
    (entry,) = dirty.take()
    assert entry.suspect
    assert entry.is_current()
