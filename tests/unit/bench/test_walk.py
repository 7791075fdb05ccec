"""What the clients of the benchmark ask for is what a client of the daemon may ask for."""

from itertools import islice
from typing import cast

import msgspec

from bench.walk import STEPS_PER_WALK, requests
from protocol.codec import decode_request
from protocol.commands import Create, Transition, Write
from protocol.kinds import KindRegistry


def decoded(client: int, count: int) -> list[Write]:
    return [cast("Write", decode_request(body)) for body in islice(requests(client), count)]


def test_a_walk_is_create_submit_approve_register_of_one_manifest() -> None:
    create, *steps = decoded(7, STEPS_PER_WALK)

    assert isinstance(create, Create)
    assert [step.event for step in steps if isinstance(step, Transition)] == [
        "submit_for_review",
        "approve",
        "register",
    ]
    assert [step.expected_version for step in steps] == [1, 2, 3]
    assert {step.manifest_id for step in steps} == {create.manifest_id}


def test_the_document_is_a_valid_server_of_the_size_that_servers_have() -> None:
    (create,) = decoded(4000, 1)
    assert isinstance(create, Create)
    document = msgspec.json.decode(create.manifest)

    assert 450 <= len(bytes(create.manifest)) <= 600
    assert not KindRegistry.builtin().get("mcp-server").problems(document)
    assert create.manifest_id == f"{document['name']}@{document['version']}"


def test_the_approver_is_not_the_author() -> None:
    create, submit, approve, _ = decoded(3, STEPS_PER_WALK)

    assert create.principal == submit.principal
    assert approve.principal != create.principal


def test_no_two_clients_and_no_two_walks_share_a_manifest_or_a_command_id() -> None:
    writes = [write for client in (0, 1, 255) for write in decoded(client, 3 * STEPS_PER_WALK)]

    assert len({write.manifest_id for write in writes}) == 9
    assert len({write.command_id for write in writes}) == len(writes)
