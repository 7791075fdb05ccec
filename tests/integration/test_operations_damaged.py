"""docs/operations.md, "When the store is damaged": its commands give the output that stands there."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.errors import DaemonError
from daemon.journal.sealed import seal
from daemon.settings import StoreSettings
from daemon.store import FileStore
from protocol.lifecycle.registry import LifecycleRegistry
from tests.conformance.event_store import Follower
from tests.support.events import Chain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
STORE = "/var/lib/manifestd"  # As the page calls it.
LIFECYCLE = "manifest@1"
IDENTITY = {
    "store_id": "5d0c2a4e-7f6b-4f0e-9c6e-3a1b2c3d4e5f",
    "created_at": "2026-11-23T15:04:05.000000Z",
    "format_version": 1,
}


async def fill(store: Path) -> None:
    """Leave a closed store with six events of two manifests."""

    def failed(error: DaemonError) -> None:
        raise error

    store.mkdir()
    (store / "store.json").write_bytes(seal(IDENTITY))
    settings = StoreSettings(reserve_size_bytes=4096)
    opened = await FileStore.open(store, settings=settings, on_failed=failed)
    definition = LifecycleRegistry.builtin().get(LIFECYCLE).to_json()
    await opened.pin_lifecycle(LIFECYCLE, definition)
    follower = Follower(opened)
    for name in ("io.github.acme/echo@1.0.0", "io.github.acme/relay@2.1.0"):
        chain = Chain(name)
        for _ in range(3):
            await follower.commit(chain.next())
    await opened.close()


def damage(store: Path) -> None:
    """Change a byte in the journal and one in a snapshot, as the page says."""
    (segment,) = (store / "journal").glob("0*.jsonl")
    (snapshot,) = (store / "manifests").glob("*/*relay*/state.json")
    for path, place in ((segment, 300), (snapshot, 40)):
        content = bytearray(path.read_bytes())
        content[place] ^= 4
        path.write_bytes(content)


def commands() -> list[tuple[str, str]]:
    """Return each command of the section with the output that stands behind it."""
    section = PAGE.read_text().split("## When the store is damaged\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    found = []
    for block in blocks:
        for one in block.split("$ ")[1:]:
            command, _, output = one.partition("\n")
            found.append((command, output))
    return found


def test_the_commands_of_the_page_give_the_output_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s"
    asyncio.run(fill(store))
    damage(store)
    monkeypatch.setenv("COLUMNS", "100")
    seen = commands()

    assert len(seen) == 3
    for command, output in seen:
        name, *arguments = shlex.split(command.replace(STORE, str(store)))
        assert name == "manifestd"
        main(arguments)
        assert capsys.readouterr().out.replace(str(store), STORE) == output, command
