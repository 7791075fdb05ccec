"""The life after registration, inboxes and migrations, by manifestctl against a real daemon."""

import msgspec
import pytest

from tests.support.manifestctl_process import Run

ECHO = "echo@1.0.0"
URN = "urn:proto:agent:echo@1.0.0"
DOCUMENT = '{"name": "echo", "version": "1.0.0"}'
EXTENDED = "manifest-extended@1"
SIGN_OFFS = [
    ("approve_security", "sam"),
    ("approve_legal", "leo"),
    ("approve", "bob"),
    ("approve", "carol"),
]


@pytest.fixture
def registered(run: Run) -> str:
    """Register a manifest under the extended lifecycle and return its id."""
    run("create", "-", "--kind", "agent", "--lifecycle", EXTENDED, "--as", "alice", text=DOCUMENT)
    run("submit", ECHO, "--as", "alice")
    for event, name in SIGN_OFFS:
        run("transition", ECHO, "--event", event, "--as", name)
    run("register", ECHO, "--as", "rita")
    return ECHO


def test_a_registered_manifest_is_deprecated_superseded_withdrawn_and_restored(
    run: Run, registered: str
) -> None:
    run("deprecate", registered, "-m", "1.1.0 is out")
    assert "DEPRECATED" in run("lookup", URN).stdout
    run("supersede", registered, "--by", "echo@2.0.0")
    shown = msgspec.json.decode(run("get", registered, "-o", "json").stdout)
    assert (shown["state"], shown["context"]["replaced_by"]) == ("SUPERSEDED", "echo@2.0.0")
    run("withdraw", registered, "-m", "leaks its token")
    assert "was withdrawn" in run("lookup", URN, status=3).stderr
    run("restore", registered, "-m", "it does not")
    assert run("lookup", URN, "-o", "name").stdout == f"{ECHO}\n"


def test_a_revision_opens_a_draft_beside_what_is_found(run: Run, registered: str) -> None:
    patch = '{"description": "louder"}'
    assert "is DRAFT" in run("revise", registered, "-", "--patch", text=patch).stdout

    found = msgspec.json.decode(run("lookup", URN, "-o", "json").stdout)

    assert (found["state"], "description" in found["manifest"]) == ("DRAFT", False)


def test_a_reviewer_sees_what_waits_for_him(run: Run) -> None:
    run("create", "-", "--kind", "agent", "--as", "alice", text=DOCUMENT)
    run("submit", ECHO, "--as", "alice")

    assert run("list", "--can", "approve", "--as", "bob", "-o", "name").stdout == f"{ECHO}\n"
    assert run("list", "--can", "approve", "--as", "alice", "-o", "name").stdout == ""
    assert "known: approve" in run("list", "--can", "aprove", status=6).stderr


def test_what_would_be_stranded_is_said_and_nothing_moves(run: Run) -> None:
    for number in (1, 2):
        document = DOCUMENT.replace("1.0.0", f"1.0.{number}")
        run("create", "-", "--kind", "agent", "--as", "alice", text=document)
    run("submit", "echo@1.0.2", "--as", "alice")
    move = ("lifecycle", "migrate", "manifest@1", EXTENDED)

    trial = run(*move, "--dry-run", status=5)
    refused = run(*move, status=5)
    part = run(*move, "--skip-stranded", "-o", "json", status=5)

    for output in (trial, refused):
        assert "has no REVIEWED; say what it becomes (--map REVIEWED=STATE)" in output.stdout
        assert "1 would be migrated, 1 left as they are" in output.stderr
    rows = {row["manifest_id"]: row["becomes"] for row in msgspec.json.decode(part.stdout)}
    assert rows == {"echo@1.0.1": "DRAFT", "echo@1.0.2": None}
    rest = run(*move, "--map", "REVIEWED=PENDING", "-m", "sign-offs")
    assert "1 migrated, 0 left as they are" in rest.stderr
    listed = run("list", "--lifecycle", EXTENDED, "-o", "name").stdout
    assert listed.split() == ["echo@1.0.1", "echo@1.0.2"]
    assert run("lifecycle", "migrate", "x", EXTENDED, status=3).stderr
    assert run("lifecycle", "migrate", "manifest@1", EXTENDED, "--map", "x", status=2).stderr
