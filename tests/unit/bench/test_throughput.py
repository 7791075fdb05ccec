"""What is said, and asserted, about rounds of echo and daemon."""

from bench.throughput import JUDGED_CLIENTS, Round, figures, table
from bench.window import Window


def window(commands_per_s: int, cpu_us: float, **changes: float) -> Window:
    members: dict[str, float] = {
        "clients": JUDGED_CLIENTS,
        "commands": commands_per_s * 2,
        "duration_s": 2.0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "cpu_s": cpu_us * commands_per_s * 2 / 1e6,
        "behind_s": 0.25,
        "events": 100,
        "lost_wakeups": 0,
    }
    return Window(**(members | changes))  # type: ignore[arg-type]


def round_of(daemon: Window, received: int = 100) -> Round:
    return Round(window(40_000, 10.0), window(20_000, 20.0), window(25_000, 12.5), daemon, received)


def test_ratios_are_taken_within_a_round_and_the_median_counts() -> None:
    rounds = [
        round_of(window(24_000, 20.0)),
        round_of(window(12_000, 90.0)),
        round_of(window(22_000, 25.0)),
    ]

    throughput, cpu = figures(rounds)

    assert throughput.holds
    assert round(throughput.value, 6) == 0.55
    assert cpu.holds
    assert round(cpu.value, 6) == 2.5


def test_a_slow_daemon_misses_both_bounds() -> None:
    assert not any(figure.holds for figure in figures([round_of(window(10_000, 100.0))]))


def test_the_table_shows_the_daemon_beside_both_echoes_and_the_floor() -> None:
    lines = list(table(64, [round_of(window(20_000, 25.0))]))

    assert [line.split()[:2] for line in lines[:4]] == [
        ["64", "echo"],
        ["64", "pyzmq"],
        ["64", "floor"],
        ["64", "daemon"],
    ]
    assert "current 0.25 s after" in lines[9]
    assert len(lines) == 10


def test_ratios_are_shown_of_the_floor_and_of_the_daemon() -> None:
    lines = list(table(64, [round_of(window(20_000, 25.0))]))

    shown = {}
    for line in lines[4:9]:
        name, ratios = line[:29].strip(), line[29:].split()
        shown[name] = (ratios[0], ratios[1])
    assert shown == {
        "floor / echo": ("0.62", "1.2"),
        "floor / pyzmq echo": ("1.25", "0.6"),
        "daemon / echo": ("0.50", "2.5"),
        "daemon / pyzmq echo": ("1.00", "1.2"),
        "daemon / floor": ("0.80", "2.0"),
    }


def test_missed_events_and_lost_wakeups_are_not_kept_quiet() -> None:
    rounds = [round_of(window(20_000, 25.0, lost_wakeups=3), received=90)]

    missed, lost = list(table(64, rounds))[10:]

    assert "missed 10 events" in missed
    assert "3 wake-ups were lost" in lost
