"""A snapshot that rotted is mended from its events, by itself."""

from pathlib import Path

from daemon.archive.layout import Layout
from daemon.store import FileStore
from protocol.snapshots import decode_snapshot
from tests.conformance.event_store import Follower
from tests.support.events import Chain
from tests.support.manual_timer import ManualTimer, until

NAME = "io.github.acme/echo@1.0.0"


async def test_a_damaged_state_json_is_mended_without_waiting_for_another_event(
    tmp_path: Path,
) -> None:
    timer = ManualTimer()
    failures: list[Exception] = []
    store = await FileStore.open(tmp_path, timer=timer, on_failed=failures.append)
    follower = Follower(store)
    await follower.commit(Chain(NAME).next())
    await store.write_behind()
    state = Layout(tmp_path).state(NAME)
    state.write_bytes(state.read_bytes().replace(b"echo", b"ecgo", 1))

    loaded = await store.load(NAME)
    assert loaded.snapshot == follower.states[NAME]
    timer.advance(0.2)
    await until(lambda: store.is_clean(NAME))

    assert decode_snapshot(state.read_bytes()) == follower.states[NAME]
    assert failures == []
    await store.close()
