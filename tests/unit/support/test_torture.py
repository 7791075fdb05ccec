"""Seeds, counts, and what a failure in a long run is told with."""

from pathlib import Path

import pytest

from tests.support.effort import EFFORT, SEED, TALLY, rounds, seeds, tally, totals
from tests.torture import PARTS, ROOT, Part, repeat

PART = Part("kills", ("tests/end_to_end/test_kill.py",))
OUTPUT = """F
----------------------------- Captured stdout call -----------------------------
CRASH_SEED=11
CRASH_SEED=4242
=========================== short test summary info ============================
FAILED tests/end_to_end/test_kill.py::test_it[uvloop] - AssertionError
"""


def test_a_named_seed_is_the_only_one_and_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SEED, "7")
    monkeypatch.setenv(EFFORT, "1000")

    assert list(seeds(5)) == [7]
    assert [random.random() for random in rounds(1)] == [random.random() for random in rounds(9)]
    assert capsys.readouterr().out == "CRASH_SEED=7\n" * 3


def test_without_time_to_fill_there_are_so_many_seeds_and_none_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SEED, raising=False)
    monkeypatch.delenv(EFFORT, raising=False)

    assert len(set(seeds(20))) == 20


def test_what_is_counted_anywhere_is_in_the_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TALLY, str(tmp_path / "tally"))
    tally("power cuts")
    tally("bit flips", 1000)
    tally("power cuts", 2)
    tally("kills", tmp_path.exists())

    assert totals(tmp_path / "tally") == {"power cuts": 3, "bit flips": 1000, "kills": 1}


def test_a_failure_is_told_with_the_command_that_repeats_it() -> None:
    assert repeat(PART, OUTPUT) == (
        'CRASH_SEED=4242 .venv/bin/pytest -m "long or not long" '
        '"tests/end_to_end/test_kill.py::test_it[uvloop]"'
    )
    said = "seed 9: lost\nagain: python -m tests.simulation --seed 9 --trace\n"
    assert repeat(PART, said) == "python -m tests.simulation --seed 9 --trace"


def test_every_part_is_there_and_has_a_long_test() -> None:
    for part in PARTS:
        assert "@pytest.mark.long" in (ROOT / part.arguments[0]).read_text()
