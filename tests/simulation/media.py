"""What a disk holds, on two levels: what every process sees, and what a power cut leaves.

    inode      cached bytes | durable bytes, and the writes and truncations since the last sync
    folder     cached names | durable names, and the links, unlinks and renames since the last sync

Promise:  a power cut keeps, sector by sector of 512 bytes, any of the states that the sector had
          since the sync, and any of the sizes that the file had; so unsynced writes are lost, torn
          and reordered. Of the names of a folder it keeps the first few changes, or any selection.
Assume:   a rename is atomic; sectors are; what was synced stays (a disk that lies is a control).
Not here: calls, faults, time (`disk.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

SECTOR_SIZE_BYTES: Final = 512
CONTEXT_SIZE_BYTES: Final = 40  # By so many bytes before it a flipped bit is found again.

Change = tuple[int, bytes] | int  # A write at an offset, or a truncation to a size.


class Inode:
    """The bytes of a file."""

    def __init__(self, content: bytes = b"") -> None:
        self.cached = bytearray(content)
        self.durable = bytes(content)
        self.changes: list[Change] = []
        self.has_lost = False  # Without a word: the next sync of this file tells.

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`."""
        self.changes.append((offset, data))
        _change(self.cached, (offset, data))

    def truncate(self, size: int) -> None:
        """Cut, or fill up with zeros."""
        self.changes.append(size)
        _change(self.cached, size)

    def sync(self) -> None:
        """Make what was written durable."""
        if self.changes:
            after = bytearray(self.durable)
            for change in self.changes:
                _change(after, change)
            self.durable = bytes(after)
            self.changes.clear()

    def fail_sync(self, dice: Random) -> None:
        """Make some of it durable; the rest counts as clean, so that no later sync writes it."""
        self.durable = self.torn(dice)
        self.changes.clear()

    def versions(self) -> list[bytes]:
        """Return what is durable, that after each change since, and what every process sees."""
        states = [self.durable]
        for change in self.changes:
            state = bytearray(states[-1])
            _change(state, change)
            states.append(bytes(state))
        return [*states, bytes(self.cached)]

    def torn(self, dice: Random) -> bytes:
        """Return what is on the disk when the power fails now."""
        if not self.changes:
            return self.durable
        *states, _ = self.versions()
        size = len(dice.choice(states))
        left = bytearray(size)
        loses = dice.random()  # From cut to cut: nearly everything, nearly nothing, or in between.
        for start in range(0, size, SECTOR_SIZE_BYTES):
            end = min(start + SECTOR_SIZE_BYTES, size)
            sectors = [state[start:end].ljust(end - start, b"\0") for state in states]
            index = dice.randrange(len(states)) if dice.random() < loses else len(states) - 1
            left[start:end] = sectors[index]
        return bytes(left)


def _change(content: bytearray, change: Change) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    offset, data = change
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Link:
    """`name` stands for `node` from now on."""

    def __init__(self, name: str, node: "Node") -> None:
        self.name = name
        self.node = node

    def apply(self, names: "dict[str, Node]") -> None:
        """Do it to `names`."""
        names[self.name] = self.node


class Unlink:
    """`name` is gone."""

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, names: "dict[str, Node]") -> None:
        """Do it to `names`."""
        names.pop(self.name, None)


class Rename:
    """`source` is called `target`, all at once."""

    def __init__(self, source: str, target: str, node: "Node") -> None:
        self.source = source
        self.target = target
        self.node = node

    def apply(self, names: "dict[str, Node]") -> None:
        """Do it to `names`."""
        if names.get(self.source) is self.node:
            del names[self.source]
        names[self.target] = self.node


class Folder:
    """Names, and what they stand for."""

    def __init__(self) -> None:
        self.cached: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.changes: list[Link | Unlink | Rename] = []

    def change(self, change: Link | Unlink | Rename) -> None:
        """Make a change, which is lost with the power until `sync`."""
        self.changes.append(change)
        change.apply(self.cached)

    def sync(self) -> None:
        """Make the names durable."""
        for change in self.changes:
            change.apply(self.durable)
        self.changes.clear()

    def torn(self, dice: Random) -> "dict[str, Node]":
        """Return the names that are there when the power fails now."""
        names = dict(self.durable)
        if not self.changes:
            return names
        if dice.random() < 0.5:
            kept = self.changes[: dice.randint(0, len(self.changes))]
        else:
            kept = [change for change in self.changes if dice.random() < 0.5]
        for change in kept:
            change.apply(names)
        return names


Node = Inode | Folder


class Media:
    """A whole file system, from its root."""

    def __init__(self, root: Folder | None = None) -> None:
        self.root = root or Folder()

    def node(self, path: Path) -> Node | None:
        """Return what is at `path`."""
        node: Node | None = self.root
        for part in path.parts[1:]:
            if not isinstance(node, Folder):
                return None
            node = node.cached.get(part)
        return node

    def make_folder(self, path: Path) -> Folder:
        """Make a folder and its parents; one that is there is fine."""
        folder = self.root
        for part in path.parts[1:]:
            below = folder.cached.get(part)
            if below is None:
                below = Folder()
                folder.change(Link(part, below))
            if not isinstance(below, Folder):
                raise NotADirectoryError(str(path))
            folder = below
        return folder

    def everything(self) -> list[Node]:
        """Return all files and folders that have a name."""
        nodes: list[Node] = [self.root]
        for node in nodes:
            if isinstance(node, Folder):
                nodes.extend(node.cached.values())
        return nodes

    def files(self) -> Iterator[tuple[Path, Inode]]:
        """Yield every file that has a name."""
        waiting: list[tuple[Path, Node]] = [(Path("/"), self.root)]
        for path, node in waiting:
            if isinstance(node, Inode):
                yield path, node
            else:
                waiting.extend((path / name, below) for name, below in node.cached.items())

    def flip(self, path: Path, at: int, dice: Random) -> tuple[bytes, bytes] | None:
        """Flip a bit of the byte `at` of a file; return the bytes up to there, before and after.

        None where nothing was flipped: the file is not synced, or the bytes that it would hold then
        stand somewhere already, so that nobody could tell which of them to mend.
        """
        node = self.node(path)
        if not isinstance(node, Inode) or node.changes:
            return None
        before = bytes(node.cached[max(0, at - CONTEXT_SIZE_BYTES) : at + 1])
        after = before[:-1] + bytes([before[-1] ^ 1 << dice.randrange(8)])
        if self.holds(after):
            return None
        node.cached[at] = after[-1]
        node.durable = bytes(node.cached)
        return before, after

    def mend(self, after: bytes, before: bytes) -> None:
        """Put `before` durably in the place of `after`, of the same size, in every file there was.

        Also in those whose names are gone, and may come back with a power cut.
        """
        assert len(after) == len(before)
        for node in self._everything_ever():
            if isinstance(node, Inode) and any(after in each for each in node.versions()):
                node.cached[:] = node.cached.replace(after, before)
                node.durable = bytes(node.cached)
                node.changes.clear()

    def holds(self, data: bytes) -> bool:
        """Tell whether any file holds `data` anywhere."""
        nodes = self._everything_ever()
        return any(
            data in each for one in nodes if isinstance(one, Inode) for each in one.versions()
        )

    def _everything_ever(self) -> "list[Node]":
        """Return all files and folders that have a name, or may have one after a power cut."""
        nodes: dict[int, Node] = {id(self.root): self.root}
        waiting: list[Node] = [self.root]
        for node in waiting:
            if isinstance(node, Folder):
                pending = [one.node for one in node.changes if not isinstance(one, Unlink)]
                for below in (*node.cached.values(), *node.durable.values(), *pending):
                    if id(below) not in nodes:
                        nodes[id(below)] = below
                        waiting.append(below)
        return list(nodes.values())

    def size_bytes(self) -> int:
        """Return how much is in the files."""
        return sum(len(node.cached) for node in self.everything() if isinstance(node, Inode))

    def after_power_cut(self, dice: Random) -> "Media":
        """Return what is there when the power is back."""
        known: dict[int, Node] = {}

        def kept(node: Node) -> Node:
            if id(node) not in known:
                if isinstance(node, Inode):
                    known[id(node)] = Inode(node.torn(dice))
                else:
                    known[id(node)] = folder = Folder()
                    folder.cached = {name: kept(one) for name, one in node.torn(dice).items()}
                    folder.durable = dict(folder.cached)
            return known[id(node)]

        root = kept(self.root)
        assert isinstance(root, Folder)
        return Media(root)
