"""Who may do what, by the real process: roles, speaking for others, --dev."""

import getpass
import json
import os
from collections.abc import Iterator

import pytest

from protocol.principals import EVERYDAY_ROLES
from tests.support.daemon_process import DaemonProcess, short_folder

ME = getpass.getuser()
MANIFEST = {"name": "io.github.acme/echo", "description": "Echo.", "version": "1.0.0"}
CREATE = {"op": "create", "manifest_id": "echo@1", "kind": "mcp-server", "manifest": MANIFEST}

SIGNING_ROLES = {"security", "legal"}  # Of the built-in manifest-extended@1.


@pytest.fixture
def configured(request: pytest.FixtureRequest) -> Iterator[DaemonProcess]:
    """Run a daemon, without --dev, on the configuration that the test gives."""
    with short_folder() as folder:
        (folder / "m.toml").write_text(request.param)
        arguments = ["--config", str(folder / "m.toml")]
        with DaemonProcess(folder, dev=False, arguments=arguments) as daemon:
            yield daemon.start()
            assert daemon.stop() == 0


@pytest.mark.parametrize("configured", [""], indirect=True)
def test_without_roles_every_peer_has_all_but_admin(configured: DaemonProcess) -> None:
    whoami = configured.result(op="whoami")

    assert whoami["principal"] == ME
    assert whoami["authenticated"]
    assert set(whoami["roles"]) == EVERYDAY_ROLES | SIGNING_ROLES
    assert whoami["may_impersonate"]  # The daemon's own user.
    assert (whoami["uid"], whoami["gid"]) == (os.getuid(), os.getgid())
    assert "no [roles]: every peer has all roles but admin and impersonate" in configured.log()


@pytest.mark.parametrize("configured", [f'[roles]\nreader = ["{ME}"]\n'], indirect=True)
def test_the_first_assignment_ends_that(configured: DaemonProcess) -> None:
    assert configured.result(op="whoami")["roles"] == ["reader"]
    assert configured.result(op="list")["manifests"] == []
    assert "roles are assigned: reader" in configured.log()

    refused = configured.error(**CREATE)
    assert refused["code"] == "FORBIDDEN"
    assert refused["details"]["roles_needed"] == ["author"]


@pytest.mark.parametrize("configured", ['[roles]\nreader = ["somebody-else"]\n'], indirect=True)
def test_who_has_no_role_may_ask_who_he_is_and_nothing_else(configured: DaemonProcess) -> None:
    assert configured.result(op="health")["status"] == "ok"
    assert configured.result(op="whoami")["roles"] == []
    for op in ("list", "status", "feed", "verify"):
        assert configured.error(op=op)["code"] == "FORBIDDEN"
    assert configured.error(op="probe", token="0" * 16)["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    "configured", ['[roles]\nauthor = ["ada"]\napprover = ["grace"]\n'], indirect=True
)
def test_whom_a_gateway_speaks_for_has_his_own_roles_and_not_the_gateway_s(
    configured: DaemonProcess,
) -> None:
    assert configured.error(**CREATE)["code"] == "FORBIDDEN"  # The gateway has no role itself.
    assert configured.error(**CREATE, principal="grace")["code"] == "FORBIDDEN"
    assert configured.error(**CREATE, principal="nobody-known")["code"] == "FORBIDDEN"
    assert configured.result(**CREATE, principal="ada")["state"] == "DRAFT"
    assert configured.result(op="whoami", principal="grace")["roles"] == ["approver"]


@pytest.mark.parametrize(
    "configured", [f'[identity]\nnames = {{ "{os.getuid()}" = "alice" }}\n'], indirect=True
)
def test_an_asserted_name_is_recorded_as_such_and_is_no_second_person(
    configured: DaemonProcess,
) -> None:
    configured.result(**CREATE, principal="author-7")
    configured.result(op="transition", manifest_id="echo@1", event="submit_for_review")
    events = configured.result(op="history", manifest_id="echo@1")["events"]

    assert (events[0]["principal"], events[0]["authenticated"], events[0]["via"]) == (
        *("author-7", False, "alice"),
    )
    assert (events[1]["principal"], events[1]["authenticated"]) == ("alice", True)
    assert "via" not in events[1]

    refused = configured.error(
        op="transition", manifest_id="echo@1", event="approve", principal="approver-3"
    )
    assert refused["code"] == "GUARD_REJECTED"


@pytest.mark.parametrize("configured", ['[identity]\nimpersonators = ["nobody"]\n'], indirect=True)
def test_who_may_not_speak_for_others_is_told_so(configured: DaemonProcess) -> None:
    refused = configured.error(**CREATE, principal="author-7")

    assert refused["code"] == "FORBIDDEN"
    assert "speak for author-7" in refused["message"]
    assert not configured.result(op="whoami")["may_impersonate"]
    assert configured.result(**CREATE, principal=ME)["author"] == ME  # Naming oneself is fine.


def test_with_dev_one_developer_can_play_everybody_and_is_warned() -> None:
    with short_folder() as folder, DaemonProcess(folder) as daemon:
        daemon.start()
        assert set(daemon.result(op="whoami")["roles"]) == EVERYDAY_ROLES | SIGNING_ROLES | {
            "admin"
        }
        daemon.result(**CREATE)
        step = {"op": "transition", "manifest_id": "echo@1"}
        daemon.result(**step, event="submit_for_review")
        refused = daemon.error(**step, event="approve")
        approved = daemon.result(**step, event="approve", principal="bob")

        assert "four_eyes" in refused["message"]
        assert approved["state"] == "APPROVED"
        assert "WARNING daemon.application: --dev: every peer has all roles" in daemon.log()
        assert daemon.stop() == 0
        events = folder.joinpath("data", "journal", f"{1:020}.jsonl").read_text().splitlines()
        bob = [json.loads(line) for line in events if '"principal":"bob"' in line]
        assert [one["authenticated"] for one in bob] == [False]
