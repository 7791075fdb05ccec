"""Every disk that a power cut may leave: recorded operations, and what of them had to survive.

    RecordingDisk -> operations -> crash_states(...) -> DiskState -> RecordingDisk -> ...

As in the ALICE paper (Pillai et al., OSDI 2014), with a file system that keeps as little as it may:
what was written and not synced survives in part, in any order among files; so do names.

Promise:  a state holds everything that was synced, and of the rest: any subset of the names, and of
          each file's bytes nothing, everything, a beginning that ends anywhere, or its size with
          some of its sectors still zero. The same seed gives the same states.
Assume:   a rename is atomic; a sector is 512 bytes and whole; what was synced stays.
Not here: what recovery makes of a state.
"""

import threading
from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.support.faulty_disk import FaultyDisk, _File

SECTOR_BYTES: Final = 512


class DiskState(NamedTuple):
    """What a disk holds; `asked` and `acknowledged` count the events when it lost its power."""

    folders: frozenset[Path]
    files: dict[Path, bytes]
    asked: int = 0
    acknowledged: int = 0

    @property
    def key(self) -> int:
        """The same for equal states in one process, and in all likelihood for no others."""
        return hash((self.folders, frozenset(self.files.items()), self.asked, self.acknowledged))


class Operation(NamedTuple):
    """One thing that a file system was asked to do, or (`asked`, `acknowledged`) that clients saw.

    `kind` is make_directory, create, replace, remove, sync_directory (a `path`), write, truncate,
    sync (a `file`, by number), or sync_filesystem.
    """

    kind: str
    path: Path = Path()
    file: int = -1
    offset: int = 0
    data: bytes = b""
    source: Path = Path()


class RecordingDisk(FaultyDisk):
    """A disk that begins as `state` and remembers what is done to it."""

    def __init__(self, state: DiskState | None = None) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[_File] = []  # So that no other file gets the id of one that is gone.
        self._numbering = threading.Lock()
        if state is not None:
            self._cached.folders |= state.folders
            self._durable.folders |= state.folders
            for path, content in state.files.items():
                self.put(path, content)
        self.beginning = {path: self._number(file) for path, file in self._cached.files.items()}

    def note(self, kind: str, count: int) -> None:
        """Remember that so many events were `asked` for, or `acknowledged`, from now on."""
        self.operations.append(Operation(kind, offset=count))

    def make_directory(self, path: Path | str) -> None:
        """See `Disk`."""
        path = Path(path)
        missing = [one for one in (*reversed(path.parents), path) if self._is_missing(one)]
        super().make_directory(path)
        self.operations += [Operation("make_directory", one) for one in missing]

    def replace(self, source: Path | str, target: Path | str) -> None:
        """See `Disk`."""
        source, target = Path(source), Path(target)
        file = self._file(source)
        super().replace(source, target)
        self.operations.append(Operation("replace", target, self._number(file), source=source))

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        is_there = path in self._cached.files
        super().remove(path)
        if is_there:
            self.operations.append(Operation("remove", path))

    def sync_directory(self, path: Path) -> None:
        """See `Disk`."""
        super().sync_directory(path)
        self.operations.append(Operation("sync_directory", path))

    def sync_filesystem(self, path: Path) -> None:
        """See `Disk`."""
        super().sync_filesystem(path)
        self.operations.append(Operation("sync_filesystem"))

    def _is_missing(self, path: Path) -> bool:
        return path not in self._cached.folders

    def _number(self, file: _File) -> int:
        with self._numbering:
            if id(file) not in self._numbers:
                self._numbers[id(file)] = len(self._numbers)
                self._kept.append(file)
            return self._numbers[id(file)]

    def _create(self, path: Path) -> _File:
        file = super()._create(path)
        self.operations.append(Operation("create", path, self._number(file)))
        return file

    def _write(self, path: Path, file: _File, data: bytes) -> None:
        offset = len(file.cached)
        super()._write(path, file, data)
        self.operations.append(Operation("write", path, self._number(file), offset, data))

    def _truncate(self, path: Path, file: _File, size: int) -> None:
        super()._truncate(path, file, size)
        self.operations.append(Operation("truncate", path, self._number(file), size))

    def _sync(self, path: Path, file: _File) -> None:
        super()._sync(path, file)
        self.operations.append(Operation("sync", path, self._number(file)))


NAMES: Final = frozenset({"make_directory", "create", "replace", "remove"})
BYTES: Final = frozenset({"write", "truncate"})


class _Model:
    """What is durable after some operations, and what is still on its way."""

    def __init__(self, beginning: DiskState, numbers: dict[Path, int]) -> None:
        self.folders = set(beginning.folders)
        self.names = dict(numbers)
        self.content = {numbers[path]: data for path, data in beginning.files.items()}
        self.pending_names: list[Operation] = []
        self.pending_bytes: dict[int, list[Operation]] = {}
        self.counts = {"asked": beginning.asked, "acknowledged": beginning.acknowledged}

    def take(self, operation: Operation) -> None:
        match operation.kind:
            case kind if kind in NAMES:
                self.pending_names.append(operation)
            case kind if kind in BYTES:
                self.pending_bytes.setdefault(operation.file, []).append(operation)
            case "sync":
                self._settle_bytes(operation.file)
            case "sync_directory":
                self._settle_names(lambda one: one.path.parent == operation.path)
            case "sync_filesystem":
                self._settle_names(lambda _: True)
                for file in list(self.pending_bytes):
                    self._settle_bytes(file)
            case kind:
                self.counts[kind] = operation.offset

    def state(self, names: list[Operation], content: dict[int, bytes]) -> DiskState:
        """Return the disk on which of all that is pending `names` and `content` survived."""
        folders, files = set(self.folders), dict(self.names)
        for operation in names:
            _apply_name(operation, folders, files)
        reachable = {
            path: content.get(number, self.content.get(number, b""))
            for path, number in files.items()
            if path.parent in folders
        }
        return DiskState(frozenset(folders), reachable, **self.counts)

    def _settle_bytes(self, file: int) -> None:
        durable = self.content.get(file, b"")
        self.content[file] = _written(durable, self.pending_bytes.pop(file, []))

    def _settle_names(self, is_settled: Callable[[Operation], bool]) -> None:
        for operation in self.pending_names:
            if is_settled(operation):
                _apply_name(operation, self.folders, self.names)
        self.pending_names = [one for one in self.pending_names if not is_settled(one)]


def crash_states(
    disk: RecordingDisk, beginning: DiskState, *, random: Random, states_max: int
) -> Iterator[DiskState]:
    """Yield what a power cut before or after each operation of `disk` may leave, no state twice.

    Where one moment allows more than `states_max` states, so many are drawn by `random`.
    """
    model = _Model(beginning, disk.beginning)
    seen: set[int] = set()
    for operation in (*disk.operations, None):
        for state in _states(model, random, states_max):
            if state.key not in seen:
                seen.add(state.key)
                yield state
        if operation is not None:
            model.take(operation)


def _states(model: _Model, random: Random, states_max: int) -> Iterator[DiskState]:
    pending = model.pending_names
    files = list(model.pending_bytes)
    variants = [
        _variants(model.content.get(file, b""), model.pending_bytes[file], random) for file in files
    ]
    if 2 ** len(pending) * prod(map(len, variants)) <= states_max:
        for chosen in product([False, True], repeat=len(pending)):
            names = [one for one, is_kept in zip(pending, chosen, strict=True) if is_kept]
            for contents in product(*variants):
                yield model.state(names, dict(zip(files, contents, strict=True)))
        return
    for likelihood in (0.0, 1.0, *(random.random() for _ in range(states_max - 2))):
        names = [one for one in pending if random.random() < likelihood]
        yield model.state(
            names, dict(zip(files, [random.choice(some) for some in variants], strict=True))
        )


def _variants(durable: bytes, operations: list[Operation], random: Random) -> list[bytes]:
    """Return what may be left of a file whose last `operations` were not synced."""
    found = {durable: None}
    for number, operation in enumerate(operations):
        before = _written(durable, operations[:number])
        after = _written(before, [operation])
        found[after] = None
        if operation.kind == "write":
            size = len(operation.data)
            edges = range(SECTOR_BYTES - len(before) % SECTOR_BYTES, size, SECTOR_BYTES)
            cuts = {1, size // 2, size - 1, random.randrange(size) if size else 0, *edges}
            for cut in sorted(cut for cut in cuts if 0 < cut < size):
                found[after[: len(before) + cut]] = None
            for likelihood in (1.0, 0.5, 0.2, 0.2):
                found[_zeroed(after, len(before), likelihood, random)] = None
    return list(found)


def _zeroed(content: bytes, start: int, likelihood: float, random: Random) -> bytes:
    """Return `content` with sectors from `start` on whose bytes did not arrive, its size did."""
    left = bytearray(content)
    while start < len(content):
        end = min(len(content), (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if random.random() < likelihood:
            left[start:end] = bytes(end - start)
        start = end
    return bytes(left)


def _written(content: bytes, operations: list[Operation]) -> bytes:
    for operation in operations:
        if operation.kind == "truncate":
            content = content[: operation.offset].ljust(operation.offset, b"\0")
        else:
            rest = content[operation.offset + len(operation.data) :]
            content = content[: operation.offset].ljust(operation.offset, b"\0")
            content += operation.data + rest
    return content


def _apply_name(operation: Operation, folders: set[Path], files: dict[Path, int]) -> None:
    match operation.kind:
        case "make_directory":
            folders.add(operation.path)
        case "create":
            files[operation.path] = operation.file
        case "remove":
            files.pop(operation.path, None)
        case "replace":
            if files.get(operation.source) in (operation.file, None):
                files.pop(operation.source, None)
            files[operation.path] = operation.file
