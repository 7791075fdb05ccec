"""What one client notices of others who flood another manifest (promise 13).

    alone -> others: many clients, each with as many commands under way as it may -> unread: one
    connection that writes without end and never reads an answer

Promise:  the quiet client asks strictly, one command at a time, on a manifest of its own, and every
          answer is checked. What is compared was measured in one run, with one daemon.
Assume:   the flooding process shares the machine's cores: part of the factor is theirs.

`python -m bench.flood ENDPOINT others|unread` is the flooding process; it ends when it is killed.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import zmq

from bench.figures import Figure, percentile
from bench.processes import ROOT, command, running

CLIENTS: Final = 16
WINDOW: Final = 64  # Commands under way for each of them.
P99_FACTOR_MAX: Final = 100.0  # What is documented; see docs/performance.md.
PATIENCE_MS: Final = 20_000
SETTLING_S: Final = 0.3  # Until the flood is there.
FLOODED: Final = b"io.github.acme/flooded@1.0.0"
QUIET: Final = b"io.github.acme/quiet@1.0.0"
KINDS: Final = ("others", "unread")
_CREATE: Final = (
    b'{"op":"create","manifest_id":"%b","kind":"agent","manifest":{"name":"a","version":"1.0.0"}}'
)
_COMMENT: Final = b'{"op":"comment","manifest_id":"%b","text":"x"}'


class Latencies(NamedTuple):
    """Those of the quiet client, sorted, in nanoseconds, by what the others did."""

    alone: list[int]
    others: list[int]
    unread: list[int]


def measure(folder: Path, duration_s: float) -> Latencies:
    """Start a daemon, and return what the quiet client measured in each part of the run."""
    commands, events = folder / "commands", folder / "events"
    arguments = ("--dev", "--data-dir", str(folder / "flooded"))
    endpoints = ("--commands", f"ipc://{commands}", "--events", f"ipc://{events}")
    with (
        running(command("daemon", *arguments, *endpoints), commands, folder / "daemon.log"),
        zmq.Context() as context,
        context.socket(zmq.REQ) as quiet,
    ):
        quiet.setsockopt(zmq.LINGER, 0)
        quiet.connect(f"ipc://{commands}")
        for manifest_id in (FLOODED, QUIET):
            _ask(quiet, _CREATE % manifest_id)
        found = [_latencies(quiet, duration_s)]
        for kind in KINDS:
            flooding = subprocess.Popen(command("bench.flood", f"ipc://{commands}", kind), cwd=ROOT)
            try:
                _latencies(quiet, SETTLING_S)
                found.append(_latencies(quiet, duration_s))
                assert flooding.poll() is None
            finally:
                flooding.kill()
                flooding.wait()
    return Latencies(*found)


def _ask(quiet: zmq.Socket[bytes], request: bytes) -> int:
    begun_ns = time.perf_counter_ns()
    quiet.send(request)
    assert quiet.poll(PATIENCE_MS), "the daemon does not answer"
    answer = quiet.recv()
    taken_ns = time.perf_counter_ns() - begun_ns
    assert answer.startswith(b'{"ok":true'), answer
    return taken_ns


def _latencies(quiet: zmq.Socket[bytes], duration_s: float) -> list[int]:
    ends_s = time.perf_counter() + duration_s
    taken_ns = [_ask(quiet, _COMMENT % QUIET)]
    while time.perf_counter() < ends_s:
        taken_ns.append(_ask(quiet, _COMMENT % QUIET))
    return sorted(taken_ns)


def figures(found: Latencies) -> list[Figure]:
    """Return by how much each flood raises the quiet client's 99th percentile."""
    alone_ns = percentile(found.alone, 0.99)
    return [
        Figure(
            f"p99 beside a flood ({kind})",
            percentile(taken_ns, 0.99) / alone_ns,
            "x alone",
            P99_FACTOR_MAX,
            note=f"{_milliseconds(taken_ns)}; alone {_milliseconds(found.alone)}",
        )
        for kind, taken_ns in zip(KINDS, (found.others, found.unread), strict=True)
    ]


def _milliseconds(ordered_ns: list[int]) -> str:
    p50, p99 = (percentile(ordered_ns, share) / 1e6 for share in (0.5, 0.99))
    return f"p50 {p50:.3g} ms, p99 {p99:.3g} ms of {len(ordered_ns)}"


def flood(endpoint: str, kind: str) -> None:
    """Comment on one manifest, without end."""
    context = zmq.Context()
    poller = zmq.Poller()
    for _ in range(CLIENTS if kind == "others" else 1):
        dealer = context.socket(zmq.DEALER)
        dealer.connect(endpoint)
        if kind == "others":
            poller.register(dealer, zmq.POLLIN)
        for _ in range(WINDOW):
            dealer.send(_COMMENT % FLOODED)
    while kind == "unread":
        dealer.send(_COMMENT % FLOODED)
    while True:
        for dealer, _ in poller.poll():
            dealer.recv()
            dealer.send(_COMMENT % FLOODED)


if __name__ == "__main__":
    flood(*sys.argv[1:])
