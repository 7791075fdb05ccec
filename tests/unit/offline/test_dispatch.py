"""`manifestd COMMAND …`: which command runs, and what an unknown word gets."""

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
