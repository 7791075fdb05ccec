"""The daemon beside a ROUTER that only echoes, in rounds, under the same clients in one run.

    for each number of clients:   echo  pyzmq echo  floor  daemon   echo  pyzmq echo  floor  …

The floor is an echo that also pays for what every durable command takes (`floor.py`): what is
between the floor and the daemon is ours.

What a machine gives changes from minute to minute, so ratios are taken within a round, and the
median of the rounds is what counts. The daemon runs with all that it promises: identity, hash
chain, one connected subscriber, the archive written behind. It is a fresh one in every round.
Its files stay until the last round is over: removing them would cost the next one (see
`filesystem.spread_subfolders`).
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import msgspec

from bench.figures import Figure
from bench.floor import PARTS
from bench.processes import ROOT, command, running, stop
from bench.window import Window

JUDGED_CLIENTS: Final = 64  # What the bounds below are for.
THROUGHPUT_RATIO_MIN: Final = 0.5
CPU_RATIO_MAX: Final = 3.0
BYE_TIMEOUT_S: Final = 20.0  # The subscriber has a backlog to count first.


class Plan(NamedTuple):
    """How long is measured. `rounds`: for each number of clients, how many."""

    rounds: dict[int, int]
    warm_up_s: float
    echo_s: float
    daemon_s: float  # Longer than the archive waits for more, so that it works in the window.


FULL: Final = Plan({1: 1, 16: 1, JUDGED_CLIENTS: 5, 256: 1}, 0.5, 1.5, 4.0)
QUICK: Final = Plan({1: 1, JUDGED_CLIENTS: 1}, 0.1, 0.2, 0.2)


class Round(NamedTuple):
    """Four windows, one after the other. `received`: how many events the subscriber got."""

    echo: Window
    multipart: Window
    floor: Window
    daemon: Window
    received: int


def compare(plan: Plan, folder: Path) -> Iterator[tuple[int, list[Round]]]:
    """Yield, for each number of clients, the rounds that were measured."""
    places = (folder / str(number) for number in range(sum(plan.rounds.values())))
    for clients, rounds in plan.rounds.items():
        yield clients, [_measure(plan, clients, next(places)) for _ in range(rounds)]


def _measure(plan: Plan, clients: int, folder: Path) -> Round:
    folder.mkdir()
    echo = measure_echo("frames", plan, clients, folder)
    multipart = measure_echo("multipart", plan, clients, folder)
    floor = measure_floor(PARTS, plan, clients, folder)
    return Round(echo, multipart, floor, *_measure_daemon(plan, clients, folder))


def measure_floor(parts: Sequence[str], plan: Plan, clients: int, folder: Path) -> Window:
    """Return the window of a floor with these parts; its files are left in `folder`."""
    place = folder / f"floor-{'-'.join(parts)}"
    place.mkdir()
    socket, events = place / "commands", f"ipc://{place}/events"
    server = command("bench.floor", f"ipc://{socket}", events, str(place), *parts)
    window, _ = _measure_with_subscriber(server, socket, events, plan, clients)
    return window


def measure_echo(how: str, plan: Plan, clients: int, folder: Path) -> Window:
    """Return the window of an echo, `frames` or `multipart` (`echo.py`)."""
    socket = folder / how
    server = command("bench.echo", f"ipc://{socket}", how)
    with running(server, socket, folder / "echo.log") as process:
        return _load(socket, process.pid, clients, plan.warm_up_s, plan.echo_s, "--echo")


def _measure_daemon(plan: Plan, clients: int, folder: Path) -> tuple[Window, int]:
    socket, events = folder / "commands", f"ipc://{folder}/events"
    arguments = ("--dev", "--data-dir", str(folder / "data"), "--commands", f"ipc://{socket}")
    daemon = command("daemon", *arguments, "--events", events)
    return _measure_with_subscriber(daemon, socket, events, plan, clients)


def _measure_with_subscriber(
    arguments: list[str], socket: Path, events: str, plan: Plan, clients: int
) -> tuple[Window, int]:
    """Return the window of a server with one subscriber, and how many events that one got."""
    with running(arguments, socket, socket.with_suffix(".log")) as server:
        subscriber = subprocess.Popen(
            command("bench.subscriber", events), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert subscriber.stdout is not None
            subscriber.stdout.readline()
            window = _load(socket, server.pid, clients, plan.warm_up_s, plan.daemon_s)
            stop(server)
            received, _ = subscriber.communicate(timeout=BYE_TIMEOUT_S)
        finally:
            subscriber.kill()
            subscriber.wait()
    return window, int(received)


def _load(
    socket: Path, pid: int, clients: int, warm_up_s: float, duration_s: float, *flags: str
) -> Window:
    arguments = command("bench.load", f"ipc://{socket}", "--server-pid", str(pid), *flags)
    arguments += ["--clients", str(clients)]
    arguments += ["--warm-up-s", str(warm_up_s), "--duration-s", str(duration_s)]
    printed = subprocess.run(arguments, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(printed, type=Window)


def throughput_ratio(one: Round) -> float:
    """Return the daemon's commands per second over the echo's."""
    return one.daemon.commands_per_s / one.echo.commands_per_s


def cpu_ratio(one: Round) -> float:
    """Return the daemon's CPU per command over the echo's."""
    return one.daemon.cpu_us / one.echo.cpu_us


HEADING: Final = (
    f"{'clients':>7}  {'server':<11}{'commands/s':>11}{'p50 ms':>9}{'p99 ms':>9}"
    f"{'CPU us/command':>16}"
)
_SERVERS: Final[dict[str, Callable[[Round], Window]]] = {
    "echo": lambda one: one.echo,
    "pyzmq echo": lambda one: one.multipart,
    "floor": lambda one: one.floor,
    "daemon": lambda one: one.daemon,
}
_RATIOS: Final = (
    ("floor", "echo"),
    ("floor", "pyzmq echo"),
    ("daemon", "echo"),
    ("daemon", "pyzmq echo"),
    ("daemon", "floor"),
)


def table(clients: int, rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the lines about one number of clients: medians over the rounds."""
    for server, window in _SERVERS.items():
        yield row(clients, server, [window(one) for one in rounds])
    for server, yardstick in _RATIOS:
        of_server, of_yardstick = _SERVERS[server], _SERVERS[yardstick]
        ratios = [
            of_server(one).commands_per_s / of_yardstick(one).commands_per_s for one in rounds
        ]
        cpu_ratios = [of_server(one).cpu_us / of_yardstick(one).cpu_us for one in rounds]
        yield (
            f"{'':>9}{f'{server} / {yardstick}':<20}{median(ratios):>8.2f}{'':>12}"
            f"{median(cpu_ratios):>16.1f}"
            f"   {min(ratios):.2f} to {max(ratios):.2f} in {len(rounds)} rounds"
        )
    yield from _remarks(rounds)


def row(clients: int, server: str, windows: Sequence[Window]) -> str:
    """Return the line about one server: medians of its windows."""
    middle = partial(_middle, windows)
    return (
        f"{clients:>7}  {server:<11}{middle(lambda of: of.commands_per_s):>11.0f}"
        f"{middle(lambda of: of.p50_ms):>9.3g}{middle(lambda of: of.p99_ms):>9.3g}"
        f"{middle(lambda of: of.cpu_us):>16.1f}"
    )


def _middle(windows: Sequence[Window], of: Callable[[Window], float]) -> float:
    return median(map(of, windows))


def _remarks(rounds: Sequence[Round]) -> Iterator[str]:
    behind_s = max(one.daemon.behind_s for one in rounds)
    yield f"{'':>9}the archive was current {behind_s:.2f} s after the last reply"
    missed = sum(one.daemon.events - one.received for one in rounds)
    if missed:
        yield f"{'':>9}the subscriber missed {missed} events: it was too slow"
    lost = sum(window(one).lost_wakeups for one in rounds for window in _SERVERS.values())
    if lost:
        yield f"{'':>9}{lost} wake-ups were lost: latencies are wrong"


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """Return what is asserted about `JUDGED_CLIENTS` clients."""
    note = f"{JUDGED_CLIENTS} REQ clients, median of {len(rounds)} rounds"
    return [
        Figure(
            "throughput",
            median(map(throughput_ratio, rounds)),
            "x echo",
            THROUGHPUT_RATIO_MIN,
            is_floor=True,
            note=note,
        ),
        Figure(
            "server_cpu_per_command",
            median(map(cpu_ratio, rounds)),
            "x echo",
            CPU_RATIO_MAX,
            note=note,
        ),
    ]
