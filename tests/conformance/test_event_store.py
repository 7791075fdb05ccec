"""The stores that promise what `EventStore` says: the fake of the tests, and the real one."""

from pathlib import Path

import pytest

from actors.ports import EventStore
from daemon.errors import DaemonError
from daemon.settings import StoreSettings
from daemon.store import FileStore
from tests.conformance.event_store import EventStoreConformance, Opener
from tests.support.memory_store import MemoryDisk, MemoryStore


class TestMemoryStore(EventStoreConformance):
    @pytest.fixture
    def opener(self) -> Opener:
        disk = MemoryDisk()

        async def open_store() -> EventStore:
            return MemoryStore(disk)

        return open_store


class TestFileStore(EventStoreConformance):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        settings = StoreSettings(reserve_size_bytes=4096)

        def failed(error: DaemonError) -> None:
            raise error

        async def open_store() -> EventStore:
            return await FileStore.open(tmp_path / "data", settings=settings, on_failed=failed)

        return open_store
