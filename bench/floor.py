"""The floor: an echo that pays for what a durable command takes, and does nothing else.

    `python -m bench.floor COMMANDS EVENTS FOLDER PART...`, and so many of these parts:

    codec     each request decoded, an event's members encoded and hashed (msgspec, sha256)
    publish   each event's line sent to PUB
    journal   each batch of waiting requests: one write of their lines, one fdatasync
    archive   each fourth request, in a thread: a folder, its two files, one rename; for each batch
              of folders two syncfs

Promise:  the system calls that a daemon with these files cannot do without, the bytes that ours
          writes, and next to no Python: no rules, no state, no checks. What the floor misses,
          nothing that keeps the same promises on the same machine reaches in this language.
Assume:   the requests of `walk.py`, from a load that waits until the archive is current.
"""

import asyncio
import ctypes
import hashlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import uvloop
import zmq
import zmq.backend

from actors.results import result_of
from actors.rules import Rules
from bench.parts import Walked
from bench.walk import STEPS_PER_WALK
from protocol.codec import encode_result
from protocol.commands import AnyRequest
from protocol.identifiers import event_topic, quote_id
from protocol.snapshots import encode_snapshot

PARTS: Final = ("codec", "publish", "journal", "archive")
ARCHIVE_BATCH: Final = 2048  # Folders; two seconds of the daemon's work are about as many.
BEAT_S: Final = 0.05
LINGER_MS: Final = 5000
EVENTS_QUEUED_MAX: Final = 2000  # As in the daemon.

_recv = zmq.backend.Socket.recv
_send = zmq.backend.Socket.send
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
_STATUS: Final = b'{"op":"status"}'
_CREATE: Final = os.O_WRONLY | os.O_CREAT

Socket = zmq.Socket[bytes]


class FloorArchive:
    """A thread that makes folders. Paths are relative to open folders: nothing is looked up."""

    def __init__(self, folder: Path, log: bytes, state: bytes) -> None:
        self.made = 0
        self._log = log
        self._state = state
        self._folders: list[int] = []
        for number in range(256):
            prefix = folder / f"{number:02x}"
            prefix.mkdir(parents=True)
            self._folders.append(os.open(prefix, os.O_RDONLY | os.O_DIRECTORY))
        self._libc = ctypes.CDLL(None)
        self._wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def make(self, upto: int) -> None:
        """Make all folders up to that number, soon; `made` says how many there are, synced."""
        self._wanted.put(upto)

    def _run(self) -> None:
        while True:
            upto = self._wanted.get()
            self._write(range(self.made, upto))
            self.made = upto

    def _write(self, numbers: range) -> None:
        folders, names = self._folders, [_name(number) for number in numbers]
        log, state = self._log, self._state
        for number, name in zip(numbers, names, strict=True):
            folder = folders[number & 255]
            os.mkdir(name, 0o750, dir_fd=folder)
            file = os.open(f"{name}/events.log", _CREATE, 0o640, dir_fd=folder)
            os.write(file, log)
            os.close(file)
            file = os.open(f"{name}/state.json.tmp", _CREATE, 0o640, dir_fd=folder)
            os.write(file, state)
            os.close(file)
        assert self._libc.syncfs(folders[0]) == 0
        for number, name in zip(numbers, names, strict=True):
            folder = folders[number & 255]
            temporary = f"{name}/state.json.tmp"
            os.replace(temporary, f"{name}/state.json", src_dir_fd=folder, dst_dir_fd=folder)
        assert self._libc.syncfs(folders[0]) == 0


def _name(number: int) -> str:
    return quote_id(f"io.github.acme/echo-{number:x}@1.0.0")


class Floor:
    """Answers every request as the daemon would have, had it walked the same manifest."""

    def __init__(self, router: Socket, events: Socket, folder: Path, parts: Sequence[str]) -> None:
        walked, lifecycles = Walked(1), Rules().lifecycles
        last = walked.states[-1]
        lines = [event.line + b"\n" for event in walked.events]
        self._router = router
        self._events = events
        self._reply = encode_result(result_of(last, lifecycles.get(last.lifecycle)))
        self._line = walked.events[-1].line
        self._lines = b"".join(lines)
        self._topic = event_topic(last.kind, last.manifest_id, last.states)
        self._core = walked.events[-1].core
        self._does_codec, self._publishes, self._syncs, archives = (part in parts for part in PARTS)
        flags = _CREATE | os.O_APPEND
        self._journal = os.open(folder / "journal", flags, 0o640) if self._syncs else None
        self._archive = None
        if archives:
            self._archive = FloorArchive(folder / "manifests", self._lines, encode_snapshot(last))
        self._answered = 0
        self._archiving = 0

    def drain(self) -> None:
        """Answer, batch after batch, until nothing waits."""
        codec = _codec(self._core) if self._does_codec else _nothing
        while waiting := self._receive(codec):
            if self._journal is not None:
                os.write(self._journal, self._lines_for(len(waiting)))
                os.fdatasync(self._journal)
            self._answer(waiting)
            self._answered += len(waiting)
            if self._archive is not None and self._unarchived >= ARCHIVE_BATCH:
                self._archive_on(self._archive)

    def _receive(self, codec: Callable[[bytes], object]) -> list[bytes]:
        router, waiting = self._router, []
        try:
            while True:
                routing_id = _recv(router, _NOBLOCK)
                _recv(router, _NOBLOCK)
                body = _recv(router, _NOBLOCK)
                if body == _STATUS:
                    self._say_status(routing_id)
                else:
                    codec(body)
                    waiting.append(routing_id)
        except zmq.Again:
            return waiting

    def _answer(self, waiting: Sequence[bytes]) -> None:
        router, events, reply = self._router, self._events, self._reply
        topic, line, publishes = self._topic, self._line, self._publishes
        for routing_id in waiting:
            if publishes:
                _send(events, topic, _MORE)
                _send(events, line, _NOBLOCK)
            _send(router, routing_id, _MORE)
            _send(router, b"", _MORE)
            _send(router, reply, _NOBLOCK)

    def _lines_for(self, count: int) -> bytes:
        """Return as many bytes as the journal would write for so many requests."""
        walks, rest = divmod(count, STEPS_PER_WALK)
        return self._lines * walks + self._lines[: len(self._lines) * rest // STEPS_PER_WALK]

    @property
    def _unarchived(self) -> int:
        return self._answered // STEPS_PER_WALK - self._archiving

    def _archive_on(self, archive: FloorArchive) -> None:
        self._archiving += self._unarchived
        archive.make(self._archiving)

    def _say_status(self, routing_id: bytes) -> None:
        is_current = True
        if self._archive is not None:
            self._archive_on(self._archive)
            is_current = self._archive.made == self._archiving
        archived_seq = self._answered if is_current else 0
        status = b'{"ok":true,"result":{"archived_seq":%d,"last_seq":%d}}'
        _send(self._router, routing_id, _MORE)
        _send(self._router, b"", _MORE)
        _send(self._router, status % (archived_seq, self._answered), _NOBLOCK)


def _codec(core: msgspec.Struct) -> Callable[[bytes], object]:
    decode, encode = msgspec.json.Decoder(AnyRequest).decode, msgspec.json.Encoder().encode
    sha256 = hashlib.sha256

    def codec(body: bytes) -> None:
        decode(body)
        sha256(encode(core)).hexdigest()

    return codec


def _nothing(_body: bytes) -> None:
    """Leave the body as it is."""


async def serve(commands: str, events: str, folder: Path, parts: Sequence[str]) -> None:
    """Answer until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with (
        zmq.Context(io_threads=1) as context,
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.PUB) as publisher,
    ):
        publisher.set(zmq.SNDHWM, EVENTS_QUEUED_MAX)
        publisher.set(zmq.LINGER, LINGER_MS)
        publisher.bind(events)
        floor = Floor(router, publisher, folder, parts)
        router.bind(commands)
        loop.add_reader(int(router.get(zmq.FD)), floor.drain)
        floor.drain()
        while not stopped.is_set():
            publisher.send_multipart([b"heartbeat", b""])
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), BEAT_S)
        loop.remove_reader(int(router.get(zmq.FD)))
        publisher.send_multipart([b"bye", b""])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
