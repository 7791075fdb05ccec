"""What the command line does without a daemon: help, hints, and how fast it starts."""

import subprocess
import sys
from importlib import import_module

import pytest

from manifestctl.arguments import verb_parser
from manifestctl.command_line import main
from manifestctl.verbs import SUMMARIES


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_verb_has_help_with_an_example_that_parses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    help_text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"manifestctl {name}" in help_text.partition("examples:")[2]
    assert "-o" in help_text


def test_the_help_lists_every_verb_and_every_exit_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in SUMMARIES)
    assert "130 interrupted" in text


def test_without_a_verb_it_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "verbs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aprove", "a"], "error: there is no verb 'aprove'; did you mean 'approve'?\n"),
        (["zzz"], "error: there is no verb 'zzz'\n"),
        (["get"], "error: the following arguments are required: ID\ntry: manifestctl get --help"),
        (["get", "a", "-o", "yaml"], "invalid choice: 'yaml'"),
        (["get", "a", "--timeout", "0"], "0 is not a positive number of seconds"),
        (["submit", "a", "--expected-version", "-1"], "-1 is negative"),
        (["reject", "a"], "required: -m/--reason"),
        (["transition", "a"], "one of the arguments --event --target is required"),
        (["submit", "a", "--expected", "2"], "unrecognized arguments: --expected 2"),
    ],
)
def test_a_wrong_command_line_is_told_how(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_options_before_the_verb_count_and_those_after_it_win() -> None:
    verb = import_module("manifestctl.verbs.read").VERBS["get"]
    from_top = verb_parser("get", "x", verb).parse_args(["a"])
    assert from_top.output is None

    assert main(["-o", "json", "--timeout", "1", "get", "a", "--commands", "x"]) == 2


def test_help_needs_neither_zeromq_nor_asyncio() -> None:
    program = (
        "import sys\nfrom manifestctl.command_line import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'zmq', 'asyncio', 'msgspec'} & set(sys.modules)))"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout

    assert said.splitlines()[-1] == "[]"


def test_a_full_disk_behind_standard_output_is_said_in_one_line() -> None:
    arguments = ["lifecycle", "export", "manifest@1"]  # Needs no daemon.
    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
        done = subprocess.run(
            [sys.executable, "-m", "manifestctl", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.stderr == "error: the output cannot be written: No space left on device\n"
    assert done.returncode == 8
