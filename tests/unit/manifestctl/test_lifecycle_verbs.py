"""`manifestctl lifecycle ...` on files: what it prints, and how it ends."""

import io
import json
from pathlib import Path

import pytest

from manifestctl.command_line import main
from protocol.lifecycle.xstate_import import import_xstate

LIFECYCLE = """\
id = "door"
version = 1
initial = "SHUT"

[states.SHUT.on.open]
target = "OPEN"
guard = ["reason_given"]

[states.OPEN]
type = "final"
"""
MACHINE = {
    "id": "door",
    "initial": "SHUT",
    "states": {"SHUT": {"on": {"open": "OPEN"}}, "OPEN": {"type": "final"}},
}
TABLE = """\
[[case]]
name = "opens"
steps = [{ event = "open", state = "OPEN" }]
[[case]]
name = "stays shut"
steps = [{ event = "open", refused = true }]
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "door.toml"
    path.write_text(LIFECYCLE)
    return str(path)


def test_a_file_is_drawn_without_counts(file: str, capsys: Captured) -> None:
    assert main(["lifecycle", "diagram", "--file", file]) == 0
    assert "    SHUT initial\n        open [reason_given] -> OPEN\n" in capsys.readouterr().out

    assert main(["lifecycle", "diagram", "--file", file, "--format", "mermaid"]) == 0
    assert "    SHUT --> OPEN : open [reason_given]\n" in capsys.readouterr().out

    assert main(["lifecycle", "diagram", "--file", file, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["lifecycle"] == "door@1"


def test_a_built_in_is_drawn_by_its_name(capsys: Captured) -> None:
    assert main(["lifecycle", "diagram", "--file", "manifest@1", "-o", "name"]) == 0
    assert capsys.readouterr().out == "manifest@1\n"


def test_a_lifecycle_goes_to_xstate_and_back(file: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["lifecycle", "export", file]) == 0
    machine = capsys.readouterr().out
    assert import_xstate(machine).id == "door"
    (tmp_path / "machine.json").write_text(machine)

    assert main(["lifecycle", "import", str(tmp_path / "machine.json")]) == 0
    assert capsys.readouterr().out == LIFECYCLE


def test_a_machine_comes_from_standard_input_as_json_too(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(MACHINE).encode()))
    monkeypatch.setattr("sys.stdin", stdin)

    assert main(["lifecycle", "import", "-", "--version", "4", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 4


def test_a_machine_that_is_none_for_us_is_told_line_by_line(
    tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({**MACHINE, "invoke": {"src": "x"}, "on": {"x": "SHUT"}}))
    assert main(["lifecycle", "import", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.partition(": ")[2].partition(":")[0] for line in captured.err.splitlines()] == [
        "/invoke",
        "/on",
    ]

    path.write_bytes(b"\xff")
    assert main(["lifecycle", "import", str(path)]) == 1
    assert capsys.readouterr().err == "error: /: not UTF-8: invalid start byte\n"


def test_a_rehearsal_says_for_each_case_how_it_went(
    file: str, tmp_path: Path, capsys: Captured
) -> None:
    table = tmp_path / "cases.toml"
    table.write_text(TABLE)

    assert main(["lifecycle", "test", file, str(table)]) == 1
    assert capsys.readouterr().out == (
        "ok      opens\n"
        "failed  stays shut\n"
        f"        {table}:6: step 1 (open): expected a refusal, it was taken and is OPEN\n"
        "2 cases, 1 failed\n"
    )

    assert main(["lifecycle", "test", file, str(table), "-o", "ndjson"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["difference"] is None for row in rows] == [True, False]

    table.write_text(
        TABLE.partition("[[case]]\nname = 'stays")[0].split('[[case]]\nname = "stays')[0]
    )
    assert main(["lifecycle", "test", file, str(table)]) == 0
    assert capsys.readouterr().out == "ok      opens\n1 case, 0 failed\n"


def test_the_table_in_the_help_is_one(tmp_path: Path, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["lifecycle", "test", "--help"])
    table = tmp_path / "cases.toml"
    table.write_text(capsys.readouterr().out.partition("a table:\n")[2])

    assert main(["lifecycle", "test", "manifest@1", str(table)]) == 0
    assert capsys.readouterr().out.endswith("1 case, 0 failed\n")


def test_a_wrong_table_and_a_wrong_file_end_with_their_mistakes(
    file: str, tmp_path: Path, capsys: Captured
) -> None:
    table = tmp_path / "cases.toml"
    table.write_text('[[case]]\nname = "a"\nsteps = [\n{ evnt = "open" },\n{ event = "opn" }]\n')
    assert main(["lifecycle", "test", file, str(table)]) == 1
    assert f"error: {table}:4: case[0].steps[0].evnt: there is no key 'evnt'; did you mean" in (
        capsys.readouterr().err
    )

    table.write_bytes(b"\xff")
    assert main(["lifecycle", "test", file, str(table)]) == 1
    assert capsys.readouterr().err == f"error: {table}: this is no UTF-8: invalid start byte\n"

    Path(file).write_text(LIFECYCLE.replace("guard =", "gard ="))
    assert main(["lifecycle", "export", file]) == 1
    assert f"error: {file}:7: states.SHUT.on.open.gard: there is no key 'gard'" in (
        capsys.readouterr().err
    )


def test_check_prints_what_is_wrong_and_doubtful_with_its_line(file: str, capsys: Captured) -> None:
    assert main(["lifecycle", "check", file, "manifest@1"]) == 0
    assert capsys.readouterr().out == ""

    Path(file).write_text(f"{LIFECYCLE}[states.LOST]\n")
    assert main(["lifecycle", "check", file]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{file}:11: warning: states.LOST: ")
    assert main(["lifecycle", "check", "--strict", file]) == 1
    assert capsys.readouterr().out == out

    Path(file).write_text(LIFECYCLE.replace('"OPEN"', '"OPN"').replace("reason", "raison"))
    assert main(["lifecycle", "check", file]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{file}:6: error: states.SHUT.on.open.target: ")
    assert lines[0].endswith("did you mean 'OPEN'?")
    assert lines[1].startswith(f"{file}:7: error: states.SHUT.on.open.guard[0]: ")

    Path(file).write_text("id = 1\n")
    assert main(["lifecycle", "check", file, "-o", "json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert findings[0] | {"message": ""} == {
        "file": file,
        "line": 1,
        "severity": "error",
        "place": "id",
        "message": "",
    }

    assert main(["lifecycle", "check", file, "-o", "name"]) == 1
    assert capsys.readouterr().out == f"{file}\n"
    assert main(["lifecycle", "check", "no/such.toml"]) == 2


def test_a_lifecycle_in_json_is_read_by_its_files_name(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "door.json"
    path.write_text(json.dumps({"id": "a", "version": 1, "initial": "A", "states": {"A": {}}}))

    assert main(["lifecycle", "diagram", "--file", str(path)]) == 0
    assert capsys.readouterr().out == "  a\n    A initial\n"


def test_an_imported_machine_is_checked_too(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(MACHINE).replace('"open": "OPEN"', '"open": {"guard": "isShut"}'))

    assert main(["lifecycle", "import", str(path)]) == 1
    captured = capsys.readouterr()
    assert 'guard = "isShut"' in captured.out
    assert "error: states.SHUT.on.open.guard: there is no guard 'isShut'" in captured.err

    path.write_text(json.dumps({**MACHINE, "id": "theDoor"}))
    assert main(["lifecycle", "import", str(path)]) == 1
    assert "error: id: 'theDoor' cannot be the name of a lifecycle" in capsys.readouterr().err


def test_the_schema_is_for_editors(capsys: Captured) -> None:
    assert main(["lifecycle", "schema"]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


def test_a_file_that_is_not_there_is_a_wrong_command_line(capsys: Captured) -> None:
    assert main(["lifecycle", "export", "no/such.toml"]) == 2
    assert capsys.readouterr().err == "error: cannot read no/such.toml: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lifecycle"], "the following arguments are required: ACTION"),
        (["lifecycle", "chek"], "there is no action 'chek'; did you mean 'check'?"),
        (["lifecycle", "check"], "the following arguments are required: FILE"),
        (["lifecycle", "test", "a"], "the following arguments are required: TABLE"),
    ],
)
def test_a_wrong_command_line_is_told_how(
    arguments: list[str], message: str, capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "action", ["list", "show", "diagram", "check", "import", "export", "test", "schema"]
)
def test_every_action_has_help_with_an_example(action: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lifecycle", action, "--help"])

    assert ended.value.code == 0
    assert f"manifestctl lifecycle {action}" in capsys.readouterr().out.partition("examples:")[2]
