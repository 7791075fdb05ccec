"""Personal data leaves a real store: grep finds nothing, after a clean end and after a kill."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from manifestctl import RetryPolicy, SyncClient
from manifestctl.testing import Daemon
from protocol.errors import CommandIdReusedError, ImmutableError
from tests.support.manifestctl_process import runner
from tests.support.manual_timer import until
from tests.support.redactions import files_with
from tests.support.transcripts import run, shell_environment, steps_of

ROOT = Path(__file__).parents[2]
NAME = "io.github.acme/echo@1.0.0"
SECRETS = (b"Ada Lovelace", b"+44 555 1234", b"12 St James")
_TRANSCRIPT = re.compile(
    r"<!-- transcript:.*?test_redaction.*?-->\n```console\n(.*?)```", re.DOTALL
)


def fill(client: SyncClient) -> None:
    document = {"name": "echo", "version": "1.0.0", "home": "12 St James Square"}
    context = {"phone": "+44 555 1234"}
    client.create(
        document, kind="agent", manifest_id=NAME, reason="for Ada Lovelace", context=context
    )
    client.revise(NAME, patch={"home": None})
    for number in range(20):
        client.comment(NAME, text=f"remark {number}")


def kill(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()


async def is_done(client: SyncClient) -> None:
    await until(lambda: client.status().redactions_pending == 0)


@pytest.mark.parametrize("end", [Daemon.restart, kill], ids=["stopped", "killed"])
async def test_grep_finds_nothing_in_the_data_directory(
    daemon: Daemon, end: Callable[[Daemon], None]
) -> None:
    with daemon.client(retry=RetryPolicy(timeout_s=30.0)) as client:
        fill(client)
        assert all(files_with(daemon.data_dir, secret) for secret in SECRETS)
        done = client.redact(NAME, version=1, reason="request 17", command_id="r-1")

        end(daemon)  # It may come before anything was rewritten, or after.
        await is_done(client)

        assert [files_with(daemon.data_dir, secret) for secret in SECRETS] == [[], [], []]
        again = client.redact(NAME, version=1, reason="request 17", command_id="r-1")
        assert (again.version, again.replayed) == (done.version, True)
        with pytest.raises(CommandIdReusedError):
            client.redact(NAME, version=2, reason="request 17", command_id="r-1")
        assert client.redact(NAME, version=1, reason="once more").changed is False
        assert client.recover(NAME).identical
        assert client.verify().events == done.seq
        assert client.get(NAME).context == {}
        first = client.history(NAME).events[0]
        assert bytes(first).count(b'"payload":null') == 1
        assert client.feed(after_seq=0).events[0] == first


async def test_a_document_that_is_stood_on_is_not_taken_away_unless_forced(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.create({"name": "echo", "home": "12 St James"}, kind="agent", manifest_id=NAME)
        with pytest.raises(ImmutableError, match="the document that the manifest is about"):
            client.redact(NAME, version=1, reason="request 17")
        client.redact(NAME, version=1, reason="request 17", force=True)
        await is_done(client)
        assert bytes(client.get(NAME).manifest) == b"null"
        # Given again, it is the manifest's again.
        assert client.revise(NAME, manifest={"name": "echo"}).version == 3
    daemon.stop()
    assert files_with(daemon.data_dir, b"12 St James") == []
    daemon.start()


def test_the_verb_waits_until_nothing_is_left(daemon: Daemon) -> None:
    run_verb = runner(daemon.environ)
    with daemon.client() as client:
        fill(client)

    said = run_verb("redact", NAME, "--version", "1", "-m", "request 17").stdout

    assert "(gone from every file)" in said
    assert [files_with(daemon.data_dir, secret) for secret in SECRETS] == [[], [], []]
    run_verb("redact", NAME, "--version", "2", status=2)


def test_the_operators_handbook_shows_what_happens(daemon: Daemon, tmp_path: Path) -> None:
    match = _TRANSCRIPT.search((ROOT / "docs/operations.md").read_text())
    assert match is not None, "the section on personal data has lost its transcript"
    steps = steps_of(match.group(1))

    environment = shell_environment(daemon.environ)
    shown = [(command, run(command, tmp_path, environment)) for command, _ in steps]

    assert shown == steps


def test_apply_brings_a_redacted_document_back_and_bulk_leaves_it_out(
    daemon: Daemon, tmp_path: Path
) -> None:
    command = runner(daemon.environ)
    for name in ("gone", "kept"):
        (tmp_path / name).write_text(f'{{"name": "{name}", "version": "1.0.0"}}')
        command("create", str(tmp_path / name), "--kind", "agent")
    command("redact", "gone@1.0.0", "--version", "1", "--force", "-m", "request 17")
    exported = command("export").stdout

    said = command("apply", "--bulk", "-", text=f"{exported}\n\n")  # Edited by hand.
    command("apply", str(tmp_path / "gone"), "--kind", "agent")

    assert "the document of gone@1.0.0 was redacted; left out" in said.stderr
    assert "kept@1.0.0" in said.stdout
    with daemon.client() as client:
        assert b'"gone"' in bytes(client.get("gone@1.0.0").manifest)
