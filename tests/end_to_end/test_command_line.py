"""Every verb of manifestctl against a real daemon; as a process of its own where that shows."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from manifestctl.testing import Daemon
from manifestctl.verbs import SUMMARIES
from tests.support.manifestctl_process import PROGRAM, TIMEOUT_S, Run, runner

ECHO = "echo@1.0.0"
DOCUMENT = '{"name": "echo", "version": "1.0.0"}'
NOBODY = ["--commands", "ipc:///nobody/commands", "--timeout", "0.2"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Run one daemon with a draft in it for the tests that change nothing."""
    running = Daemon(tmp_path_factory.mktemp("shared") / "store")
    try:
        running.start()
        with running.client() as client:
            client.create(msgspec.json.decode(DOCUMENT), kind="agent")
        yield running
        with running.client() as client:
            assert client.feed().last_seq == 1, "a test that shares its daemon changed something"
    finally:
        running.close()


@pytest.fixture
def ask(shared: Daemon) -> Run:
    """Return `run` for the shared daemon."""
    return runner(shared.environ)


@pytest.fixture
def echo(run: Run) -> str:
    """Create a draft and return its id."""
    run("create", "-", "--kind", "agent", text=DOCUMENT)
    return ECHO


def test_a_manifest_s_whole_life(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "echo.json"
    file.write_text(DOCUMENT)

    created = run("create", str(file), "--kind", "agent", "--as", "author-7").stdout
    assert created == f"{ECHO} is DRAFT, version 1\npossible now: submit_for_review\n"
    run("revise", ECHO, "-", "--patch", text='{"description": "echoes"}')
    run("submit", ECHO, "--as", "author-7", "-m", "please look")
    run("reject", ECHO, "--as", "reviewer-1", "-m", "no owner")
    run("submit", ECHO, "--as", "author-7")
    run("comment", ECHO, "nice", "--as", "reviewer-1")
    approved = run("approve", ECHO, "--as", "approver-3", "-o", "json").stdout
    assert msgspec.json.decode(approved)["state"] == "APPROVED"
    assert "REVIEWED" in run("revert", ECHO, "--as", "approver-3").stdout
    run("transition", ECHO, "--target", "APPROVED", "--as", "approver-3")
    registered = run("register", ECHO, "--as", "registrar-1").stdout
    assert "urn: urn:proto:agent:echo@1.0.0" in registered

    assert run("lookup", "urn:proto:agent:echo", "-o", "name").stdout == f"{ECHO}\n"
    assert run("list", "--state", "REGISTERED", "-o", "name").stdout == f"{ECHO}\n"
    assert "no owner" in run("history", ECHO).stdout
    assert "rebuilt from 10 events, is its snapshot" in run("recover", ECHO).stdout
    assert "10 events of 1 manifests" in run("verify").stdout
    run("verify", ECHO)


def test_apply_creates_revises_or_does_nothing(run: Run) -> None:
    def apply(text: str) -> str:
        return run("apply", "-", "--kind", "agent", text=text).stdout.splitlines()[0]

    assert apply(DOCUMENT) == f"{ECHO} is DRAFT, version 1 (created)"
    assert apply(DOCUMENT.replace(" ", "")) == f"{ECHO} is DRAFT, version 1 (nothing to do)"
    assert apply(DOCUMENT[:-1] + ',"n":1}') == f"{ECHO} is DRAFT, version 2 (revised)"
    run("apply", "-", "--expected-version", "1", text=DOCUMENT, status=4)
    run("apply", "-", "--kind", "mcp-server", text=DOCUMENT, status=6)
    run("apply", "-", "--kind", "agent", text="{}", status=2)
    run("submit", ECHO)
    run("apply", "-", text=DOCUMENT, status=5)


def test_get_shows_now_the_past_and_the_document(run: Run, echo: str) -> None:
    run("revise", echo, "-", text='{"name":"echo","version":"1.0.0","n":1}')

    assert "state           DRAFT" in run("get", echo).stdout
    assert msgspec.json.decode(run("get", echo, "-o", "ndjson").stdout)["version"] == 2
    assert (
        msgspec.json.decode(run("get", echo, "--as-of", "1", "-o", "json").stdout)["version"] == 1
    )
    assert run("get", echo, "--document").stdout == '{"n":1,"name":"echo","version":"1.0.0"}\n'


def test_lists_and_histories_in_every_format(ask: Run) -> None:
    assert ask("list").stdout.split()[:2] == ["MANIFEST", "KIND"]
    assert msgspec.json.decode(ask("list", "-o", "json").stdout)[0]["manifest_id"] == ECHO
    assert ask("list", "--limit", "0", "-o", "name").stdout == ""
    line = ask("history", ECHO, "-o", "ndjson").stdout
    assert msgspec.json.decode(ask("history", ECHO, "-o", "json").stdout) == [
        msgspec.json.decode(line)
    ]
    assert ask("history", ECHO, "--after-version", "1", "-o", "name").stdout == ""


def test_explain_says_who_may_what_and_why_not(run: Run, echo: str) -> None:
    run("submit", echo, "--as", "author-7")

    shown = run("explain", echo, "--as", "author-7").stdout

    assert shown.startswith(f"{echo} is REVIEWED, version 2; for author-7:\n")
    assert "approve" in shown
    assert msgspec.json.decode(run("explain", echo, "-o", "json").stdout)["state"] == "REVIEWED"


def test_a_lifecycle_is_shown_and_drawn_with_its_manifests(ask: Run) -> None:
    shown = ask("lifecycle", "show").stdout
    assert "lifecycle  manifest@1" in shown
    assert "DRAFT  1  on submit_for_review" in shown
    assert "DRAFT (1)" in ask("lifecycle", "diagram").stdout
    assert ask("lifecycle", "diagram", ECHO, "--format", "mermaid").stdout.startswith(
        "stateDiagram"
    )
    data = msgspec.json.decode(ask("lifecycle", "show", "-o", "json").stdout)
    assert data["definition"]["initial"] == "DRAFT"
    listed = msgspec.json.decode(ask("lifecycle", "list", "-o", "json").stdout)
    assert {"lifecycle": "manifest@1", "is_default": True, "counts": {"DRAFT": 1}} in listed


def test_the_daemon_tells_of_itself(ask: Run) -> None:
    assert "last seq" in ask("status").stdout
    assert ask("health", "-o", "name").stdout == "ok\n"
    assert ask("whoami", "--as", "bob", "-o", "name").stdout == "bob\n"


def test_a_dry_run_changes_nothing_and_a_repeat_is_done_once(run: Run, echo: str) -> None:
    assert "(dry run: nothing was changed)" in run("submit", echo, "--dry-run").stdout
    options = ["--command-id", "c-1", "--correlation-id", "k", "--context", '{"ticket": "A-1"}']
    run("submit", echo, *options)
    assert "(done before)" in run("submit", echo, *options).stdout

    event = msgspec.json.decode(run("history", echo, "-o", "ndjson").stdout.splitlines()[1])
    assert (event["command_id"], event["correlation_id"]) == ("c-1", "k")
    assert event["payload"]["context"] == {"ticket": "A-1"}


@pytest.mark.parametrize(
    ("status", "arguments", "said"),
    [
        (2, ["create", "nowhere.json"], "cannot read nowhere.json: No such file"),
        (2, ["submit", ECHO, "--context", "[]"], "--context takes a JSON object"),
        (2, ["get", ECHO, "--commands", "/run/x"], "begin with ipc:// or tcp://"),
        (3, ["get", "nobody"], "try: manifestctl list"),
        (4, ["submit", ECHO, "--expected-version", "7"], "at version 1, not 7"),
        (4, ["create", "-", "--kind", "agent"], "exists already"),
        (5, ["register", ECHO], "the state accepts: submit_for_review"),
        (6, ["create", "-", "--id", "../x", "--kind", "agent"], "not a manifest id"),
        (6, ["list", "--state", "NOPE"], "NOPE"),
        (8, ["health", *NOBODY], "nobody listens"),
        (8, ["verify", *NOBODY], "nobody listens"),
    ],
)
def test_the_exit_status_says_what_sort_of_error(
    ask: Run, status: int, arguments: list[str], said: str
) -> None:
    done = ask(*arguments, status=status, text=DOCUMENT)

    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_yaml_is_recognised_and_refused(ask: Run, tmp_path: Path) -> None:
    file = tmp_path / "echo.yaml"
    file.write_text("name: echo\n")

    assert "only JSON is taken" in ask("create", str(file), status=6).stderr


def test_an_error_for_programs_is_json(ask: Run) -> None:
    body = msgspec.json.decode(ask("get", "nobody", "-o", "json", status=3).stderr)

    assert (body["code"], body["details"]) == ("NOT_FOUND", {"manifest_id": "nobody"})


def test_who_may_not_is_told_so(run: Run, echo: str) -> None:
    run("submit", echo)

    assert "four_eyes" in run("approve", echo, status=5).stderr


def test_watch_into_a_pipe_prints_the_daemon_s_bytes(run: Run, daemon: Daemon, echo: str) -> None:
    run("submit", echo)

    lines = run("watch", "--from-seq", "1", "--count", "2").stdout.splitlines()

    with daemon.client() as client:
        assert [line.encode() for line in lines] == [bytes(event) for event in client.feed().events]
    assert run("watch", "--count", "0").stdout == ""
    assert run("watch", "--from-seq", "1", "--count", "1", "-o", "name").stdout == f"{echo}\n"


def test_watch_filters(run: Run, echo: str) -> None:
    run("submit", echo)
    run("comment", echo, "hi")
    watch = ["watch", "--from-seq", "1", "--count", "1", "-o", "table", "--id", "echo"]

    assert "DRAFT → REVIEWED submit_for_review by" in run(*watch, "--state", "REVIEWED").stdout
    assert "REVIEWED commented by" in run(*watch, "--type", "commented", "--kind", "agent").stdout


def test_watch_goes_on_after_its_cursor(run: Run, tmp_path: Path, echo: str) -> None:
    cursor = tmp_path / "seen"
    watch = ["watch", "--cursor", str(cursor), "--from-seq", "1", "--count", "1"]
    run("submit", echo)

    first = run(*watch).stdout
    second = run(*watch).stdout

    assert [msgspec.json.decode(line)["seq"] for line in (first, second)] == [1, 2]
    assert cursor.read_text().split()[0] == "2"
    cursor.write_text("x")
    assert "mend or remove it" in run(*watch, status=2).stderr


def test_a_new_cursor_begins_now(run: Run, tmp_path: Path, daemon: Daemon, echo: str) -> None:
    cursor = tmp_path / "seen"
    with watching(daemon, "--cursor", str(cursor), "--count", "1") as watch:
        assert watch.stdout is not None
        while not cursor.exists():  # The watch has begun; each try takes an answer's time.
            assert watch.poll() is None
            run("health")
        assert cursor.read_text().split()[0] == "1"
        run("submit", echo)

        assert msgspec.json.decode(watch.stdout.readline())["seq"] == 2


def test_watch_runs_a_command_for_each_event(
    run: Run, run_process: Run, tmp_path: Path, echo: str
) -> None:
    cursor = tmp_path / "seen"
    run("submit", echo)
    watch = ["watch", "--from-seq", "1", "--cursor", str(cursor), "--count", "2", "--exec"]
    command = 'echo "$MANIFESTD_SEQ $MANIFESTD_ID $MANIFESTD_FROM>$MANIFESTD_STATE $(wc -l)"'

    assert run_process(*watch, command).stdout == f"1 {echo} >DRAFT 1\n2 {echo} DRAFT>REVIEWED 1\n"
    assert cursor.read_text().split()[0] == "2"


def test_a_command_that_fails_stops_watch_and_leaves_the_cursor(
    run: Run, tmp_path: Path, echo: str
) -> None:
    cursor = tmp_path / "seen"
    run("submit", echo)
    watch = ["watch", "--from-seq", "1", "--cursor", str(cursor), "--exec"]

    run(*watch, "exit $((MANIFESTD_SEQ == 2 ? 7 : 0))", status=7)
    assert cursor.read_text().split()[0] == "1"
    run(*watch, "kill -TERM $$", status=128 + signal.SIGTERM)
    assert cursor.read_text().split()[0] == "1"


def test_watch_on_a_terminal_is_for_people(run: Run, daemon: Daemon, echo: str) -> None:
    run("comment", echo, "x")
    run("submit", echo, "-m", "\x1b[2Jplease")
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in daemon.environ.items() if name != "NO_COLOR"}

    subprocess.run(
        [*PROGRAM, "watch", "--from-seq", "3", "--count", "1"],
        stdout=theirs,
        env=environ,
        check=True,
        timeout=TIMEOUT_S,
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)

    assert f" {echo} \x1b[1mDRAFT → REVIEWED\x1b[0m submit_for_review by " in shown
    assert ": \\x1b[2Jplease" in shown
    assert shown.count("\n") == 1


def test_an_interrupted_watch_ends_quietly(daemon: Daemon, echo: str) -> None:
    assert echo
    with watching(daemon) as watch:
        assert watch.stdout is not None
        watch.stdout.readline()

        watch.send_signal(signal.SIGINT)

        assert watch.communicate(timeout=TIMEOUT_S) == (b"", b"")
        assert watch.returncode == 130


def test_a_watch_whose_reader_goes_away_ends_quietly(daemon: Daemon, run: Run, echo: str) -> None:
    with watching(daemon) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        watch.stdout.readline()
        watch.stdout.close()

        run("submit", echo)

        assert watch.wait(TIMEOUT_S) == 141
        assert watch.stderr.read() == b""


def watching(daemon: Daemon, *options: str) -> subprocess.Popen[bytes]:
    """Start a watch, without `options` from the first event on."""
    return subprocess.Popen(
        [*PROGRAM, "watch", *(options or ("--from-seq", "1"))],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_watch_says_that_the_daemon_went_and_came_back(daemon: Daemon, run: Run, echo: str) -> None:
    with watching(daemon) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        watch.stdout.readline()

        daemon.restart()
        run("submit", echo)

        assert msgspec.json.decode(watch.stdout.readline())["seq"] == 2
        assert watch.stderr.readline() == b"the daemon said goodbye; waiting for it to come back\n"
        assert watch.stderr.readline() == b"the daemon is back; nothing was missed\n"
        watch.terminate()


def test_wait_ends_when_the_state_is_reached(daemon: Daemon, run: Run, echo: str) -> None:
    with subprocess.Popen(
        [*PROGRAM, "wait", echo, "--state", "REGISTERED", "--state", "PENDING"],
        env=daemon.environ,
        stdout=subprocess.PIPE,
    ) as waiting:
        run("comment", echo, "not yet")
        run("submit", echo)

        said, _ = waiting.communicate(timeout=TIMEOUT_S)

    assert waiting.returncode == 0
    assert said == f"{echo} is REVIEWED, version 3\n".encode()


def test_wait_tells_at_once_what_never_comes(ask: Run) -> None:
    assert ask("wait", ECHO, "--state", "DRAFT", "-o", "name").stdout == f"{ECHO}\n"
    late = ask("wait", ECHO, "--state", "APPROVED", "--timeout", "0.5", status=8)
    assert "is DRAFT after 0.5 s" in late.stderr
    misspelt = ask("wait", ECHO, "--state", "APROVED", status=2)
    assert "did you mean APPROVED?" in misspelt.stderr
    ask("wait", "nobody", "--state", "DRAFT", status=3)


def test_every_verb_is_run_here_or_beside_here() -> None:
    names = ("test_lifecycle_verbs.py", "test_redaction.py", "test_backup.py", "test_restore.py")
    files = (Path(__file__), *(Path(__file__).with_name(name) for name in names))
    text = "".join(file.read_text() for file in files)

    assert not [name for name in SUMMARIES if f'"{name}"' not in text]
