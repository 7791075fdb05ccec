"""strace as the fault: the n-th call of one sort that touches the store fails or kills.

    Injection("fdatasync", "error=EIO", 3).wrapper(paths, trace)  ->  before the daemon's command

Promise:  only calls on the named paths count (imports of Python do not); strace counts them for each
          thread alone. The daemon stays the direct child (`-D`).
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

KILL: Final = "signal=KILL"
CALLS: Final = (
    *("openat", "write", "fdatasync", "fsync", "syncfs"),
    *("/^rename", "/^unlink", "/^mkdir", "ftruncate", "fallocate"),
)
SYNCS: Final = ("fdatasync", "fsync", "syncfs", "/^rename")  # Of which one failure is the end.


class Injection(NamedTuple):
    """What happens at the `at`-th `call`; `is_persistent`: and at every later one."""

    call: str
    fault: str
    at: int
    is_persistent: bool = False

    def wrapper(self, paths: Iterable[str], trace: Path) -> list[str]:
        """Return strace's command; it writes what it saw to `trace`."""
        # Without --seccomp-bpf: with it strace 6.1 counts calls and injects nothing.
        command = ["strace", "-D", "-f", "-qq", "-y", "-ttt", "-o", str(trace)]
        command += [word for path in paths for word in ("-P", path)]
        when = f"when={self.at}{'+' if self.is_persistent else ''}"
        inject = f"inject={self.call}:{self.fault}:{when}"
        return [*command, "-e", f"trace={self.call}", "-e", inject]


def counted(trace: str, calls: Iterable[str]) -> dict[str, int]:
    """Return how often each of `calls` is made by the thread that makes it most often.

    `trace` is of `strace -f`; strace counts the calls of each thread alone.
    """
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", trace, re.MULTILINE))
    return {
        call: max(
            (n for (_, name), n in made.items() if re.search(call.lstrip("/"), name)), default=0
        )
        for call in calls
    }


class Failed(NamedTuple):
    """The first call that was made to fail: when, and on what."""

    at_s: float
    call: str
    path: str
    later: list[str]  # Lines of the trace after it.


def first_failure(trace: Path) -> Failed | None:
    """Return what the trace says of the injection; None where it was never met."""
    lines = trace.read_text(errors="replace").splitlines()
    number = next((n for n, line in enumerate(lines) if "(INJECTED)" in line), None)
    if number is None:
        return None
    line = lines[number]
    match = re.match(r"\d+ +([\d.]+) (?:(\w+)\(|<\.\.\. (\w+) resumed>)", line)
    assert match is not None, line
    if match[3]:  # Its arguments stand where the same thread began it.
        thread = line.split()[0]
        begun = [one for one in lines[:number] if one.startswith(thread) and "<unfinished" in one]
        line = begun[-1]
    paths = re.findall(r'<([^<>]*)>|"([^"]*)"', line)
    path = next((named or quoted for named, quoted in reversed(paths) if named or quoted), "")
    return Failed(float(match[1]), match[2] or match[3], path, lines[number + 1 :])
