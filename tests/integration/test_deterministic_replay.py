"""A log with everything in it, replayed a thousand times on machines of all sorts: one state.json.

The log is made once: sign-offs, a revert, a time limit, registrations, revisions, a withdrawal, an
assignment, a comment, a migration. The replays run in processes of their own, on both loops, under
other time zones, locales and hash seeds, and meet no lifecycle at all.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.rules import Rules
from protocol.commands import Migrate, Revert
from protocol.principals import Peer
from protocol.snapshots import encode_snapshot
from tests.support.engines import (
    ALICE,
    BOB,
    CAROL,
    House,
    comment,
    create,
    open_house,
    revise,
    step,
)
from tests.support.memory_store import MemoryDisk
from tests.support.timed import pass_time, settings
from tests.support.virtual_clock import VirtualClock

ROOT = Path(__file__).parent.parent.parent
REPLAYS = 250  # In each of the four processes.
SAM = Peer(name="sam", roles=frozenset({"security"}))
LEO = Peer(name="leo", roles=frozenset({"legal"}))
ADMIN = Peer(name="ädmin", roles=frozenset({"admin"}))
REPLAY = """
import asyncio, hashlib, locale, sys
from pathlib import Path
import uvloop
from protocol.events import CommittedEvent
from protocol.snapshots import encode_snapshot, replay

locale.setlocale(locale.LC_ALL, "")
lines = Path(sys.argv[1]).read_bytes().splitlines()

async def main():
    digests = set()
    for _ in range(int(sys.argv[3])):
        state = replay(CommittedEvent.read(line) for line in lines)
        digests.add(hashlib.sha256(encode_snapshot(state)).hexdigest())
    print(type(asyncio.get_running_loop()).__module__, *digests)

factory = uvloop.new_event_loop if sys.argv[2] == "uvloop" else asyncio.new_event_loop
with asyncio.Runner(loop_factory=factory) as runner:
    runner.run(main())
"""
MACHINES = [
    ("uvloop", {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}),
    ("uvloop", {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}),
    ("asyncio", {"PYTHONHASHSEED": "4711", "TZ": "America/St_Johns", "LC_ALL": "POSIX"}),
    ("asyncio", {"PYTHONHASHSEED": "99", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"}),
]


async def _register(house: House) -> None:
    await house.ask(step("submit_for_review"), ALICE)
    for event, peer in (
        ("approve_security", SAM),
        ("approve_legal", LEO),
        ("approve", BOB),
        ("approve", CAROL),
    ):
        await house.ask(step(event), peer)
    await house.ask(step("register"), CAROL)


async def _everything(disk: MemoryDisk) -> bytes:
    """Do everything to one manifest and return its snapshot."""
    clock = VirtualClock()
    rules = Rules(lifecycle="manifest-extended@1")
    async with open_house(disk, rules=rules, **settings(clock)) as house:
        await house.ask(create(context={"ß": [1.5e300, None, {"z": 1, "a": "\u2028"}]}))
        await house.ask(step("submit_for_review", reason="\u0130, \u0131"), ALICE)
        await house.ask(step("approve_security"), SAM)
        await house.ask(Revert(manifest_id="m", reason="too early"), SAM)
        await pass_time(house, clock, 15 * 86_400)
        await _register(house)
        await house.ask(comment("fine"), BOB)
        await house.ask(step("supersede", context={"replaced_by": "x"}), CAROL)
        await house.ask(step("restore"), CAROL)
        await house.ask(revise(b'{"name":"echo","version":"1.1.0","\xc3\xbc":1e21}'), ALICE)
        await _register(house)
        await house.ask(step("withdraw", reason="leaks"), CAROL)
        await house.ask(step("restore", reason="no"), CAROL)
        await house.ask(revise(b'{"name":"echo","version":"1.2.0"}'), ALICE)
        await house.ask(Migrate(manifest_id="m", lifecycle="manifest@1", reason="simpler"), ADMIN)
        return encode_snapshot(house.store.snapshot("m"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The log as a file, and the sha256 of the state that it led to."""
    disk = MemoryDisk()
    snapshot = asyncio.run(_everything(disk))
    kinds = {event.core.type for event in disk.journal}
    assert kinds == {"created", "revised", "transitioned", "reverted", "commented", "migrated"}
    assert any(event.core.cause == "timer" for event in disk.journal)
    path = tmp_path_factory.mktemp("replay") / "log.jsonl"
    path.write_bytes(b"".join(event.line + b"\n" for event in disk.journal))
    return path, hashlib.sha256(snapshot).hexdigest()


@pytest.mark.parametrize(("loop", "environment"), MACHINES)
def test_a_thousand_replays_are_one(
    log: tuple[Path, str], loop: str, environment: dict[str, str]
) -> None:
    path, expected = log
    result = subprocess.run(
        [sys.executable, "-c", REPLAY, path, loop, str(REPLAYS)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
    )
    module, *digests = result.stdout.split()

    assert module.startswith(loop)
    assert digests == [expected]
