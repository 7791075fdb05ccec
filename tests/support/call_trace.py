"""What strace saw of a daemon, and whether it said something before it was safe (promise 2).

    WRAPPER -> strace's file -> steps(...) -> said_early(...) -> findings

Promise:  the order of steps is the order that strace saw, and strace stops a thread at the entry and
          the end of every call: what follows from the end of a sync cannot stand before it.
Assume:   `-f -y -xx` and strings of any length; event lines go to the journal as they go to clients.
Not here: what reaches the disk (`crash_states.py`, `power_cut.py`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

CALLS: Final = "openat,write,pwrite64,writev,fdatasync,fsync,sendto,sendmsg"
_LINE: Final = re.compile(
    r"(?P<thread>\d+) +(?:(?P<name>\w+)\((?P<begin>.*?)|<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*?))"
    r"(?: <unfinished \.\.\.>|\) += (?P<result>-?\w+).*)",
    re.DOTALL,
)
_DESCRIPTOR: Final = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OPENED: Final = re.compile(r"O_CREAT\|O_EXCL")
_EVENT: Final = re.compile(
    rb'^\{"seq":(\d+),"event_id":"[^"]*","manifest_id":"([^"]*)","version":(\d+)', re.MULTILINE
)
_SAID_SEQ: Final = re.compile(rb'"(?:seq|last_seq|archived_seq)":(\d+)')
_SAID_VERSION: Final = re.compile(rb'([^"\s]+) (?:is|exists already,) at version (\d+)')
_MENTION_SIZE_MAX: Final = 1000  # Bytes; a mention may be cut in two by the socket's buffer.


def wrapper(trace: Path) -> list[str]:
    """Return strace's command, to be put before the daemon's, which stays the direct child."""
    options = ["-D", "-f", "-qq", "-y", "-xx", "-s", "10000000"]
    return ["strace", *options, "-o", str(trace), "-e", f"trace={CALLS}"]


class Step(NamedTuple):
    """The entry of a call, or its end, which has a `result`; both have all arguments known by then."""

    thread: str
    name: str
    arguments: str
    result: str | None

    @property
    def path(self) -> str:
        """The file that the descriptor in the arguments, or of the result, stands for."""
        match = _DESCRIPTOR.search(self.arguments)
        return "" if match is None else _bytes(match[1]).decode(errors="replace")

    @property
    def data(self) -> bytes:
        """The strings among the arguments, one after the other."""
        return b"".join(_bytes(match[1]) for match in _STRING.finditer(self.arguments))


class Verdict(NamedTuple):
    """What was said early, in sentences; how many seqs were mentioned; how many became durable."""

    findings: list[str]
    mentions: int
    durable: int


def steps(trace: Iterable[str]) -> Iterator[Step]:
    """Yield every entry and every end of a call, in the order in which strace saw them."""
    begun: dict[str, str] = {}
    for line in trace:
        match = _LINE.match(line)
        if match is None:
            continue
        name = match["name"] or match["resumed"]
        if match["name"]:
            begun[match["thread"]] = match["begin"]
            yield Step(match["thread"], name, match["begin"], None)
        if match["result"] is not None:
            arguments = begun.pop(match["thread"], "") + (match["rest"] or "")
            if name == "openat":  # The descriptor that it made is its result.
                arguments = f"{line[line.rindex('= ') :]} {arguments}"
            yield Step(match["thread"], name, arguments, match["result"])


def said_early(trace: Iterable[str], data_dir: Path) -> Verdict:
    """Return what a trace shows to have been said before its sync returned 0."""
    journal, said = _Journal(data_dir / "journal"), _Said()
    for step in steps(trace):
        path = step.path
        if path.startswith("socket:"):
            said.take(path, step, journal)
        else:
            journal.take(path, step)
    return Verdict(said.findings, said.mentions, len(journal.durable))


class _Journal:
    """Which events are durable at this point of the trace: bytes and name of their segment."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.durable: set[int] = set()
        self.seqs: dict[tuple[bytes, int], int] = {}  # (manifest id, version) -> seq
        self._written: dict[str, list[int]] = defaultdict(list)
        self._covered: dict[str, list[int]] = {}  # Thread -> what was written when its sync began.
        self._nameless: dict[str, set[int]] = {}  # Segments whose name was not synced.

    def take(self, path: str, step: Step) -> None:
        is_end, is_right = step.result is not None, not (step.result or "").startswith("-")
        if path == self._folder:
            if step.name == "fsync" and is_end and is_right:
                for seqs in self._nameless.values():
                    self.durable |= seqs
                self._nameless.clear()
        elif path.startswith(f"{self._folder}/") and path.endswith(".jsonl"):
            if step.name == "openat" and is_end and _OPENED.search(step.arguments):
                self._nameless[path] = set()
            elif "write" in step.name and is_end and is_right:
                self._written[path] += self._events(step.data)
            elif "sync" in step.name and not is_end:
                self._covered[step.thread] = list(self._written[path])
            elif "sync" in step.name and step.result == "0":
                self._nameless.get(path, self.durable).update(self._covered[step.thread])

    def _events(self, data: bytes) -> Iterator[int]:
        for seq, manifest_id, version in _EVENT.findall(data):
            self.seqs[manifest_id, int(version)] = int(seq)
            yield int(seq)


class _Said:
    """What left the process on each socket."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.mentions = 0
        self._before: dict[str, bytes] = defaultdict(bytes)

    def take(self, socket: str, step: Step, journal: _Journal) -> None:
        """See what a send would show at its entry, and keep what of it was taken at its end."""
        if step.result is None:
            self._look(self._before[socket] + step.data, journal)
        elif not step.result.startswith("-"):
            sent = step.data[: int(step.result)]
            kept = (self._before[socket] + sent)[-_MENTION_SIZE_MAX:]
            self._before[socket] = kept[kept.find(b'"') :]  # No half of a name.

    def _look(self, data: bytes, journal: _Journal) -> None:
        for match in _SAID_SEQ.finditer(data):
            self.mentions += 1
            seq = int(match[1])
            if seq and seq not in journal.durable:
                self.findings.append(f"seq {seq} was said before it was durable: {data[-200:]!r}")
        for manifest_id, version in _SAID_VERSION.findall(data):
            known = journal.seqs.get((manifest_id, int(version)), 0)
            if known not in journal.durable:
                self.findings.append(f"version {int(version)} of {manifest_id!r} was said early")


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
