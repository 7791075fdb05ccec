"""`manifestd COMMAND …`: which command runs, and what an unknown word gets."""

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.command_line import main
from daemon.offline import COMMANDS

USAGE = 2


def test_help_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {name}" in text and summary in text for name, summary in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"manifestd {name}" in text
    assert "examples:" in text


def test_an_unknown_word_is_an_error_that_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fsk", "--data-dir", "x"])

    assert ended.value.code == USAGE
    assert "there is no command 'fsk'; did you mean 'fsck'?" in capsys.readouterr().err


def test_a_word_that_is_near_to_nothing_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["x"])

    assert ended.value.code == USAGE
    assert ", ".join(COMMANDS) in capsys.readouterr().err


def test_a_full_disk_behind_standard_output_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()

    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
        done = subprocess.run(
            [sys.executable, "-m", "daemon", "fsck", "--data-dir", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.stderr == "manifestd: the output cannot be written: No space left on device\n"
    assert done.returncode == 1
