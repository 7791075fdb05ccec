"""What every client asks for: manifest after manifest from create to register, as bytes.

The bytes are put together by templates, not encoded: on a small machine the clients' CPU is taken
from the server's.
"""

from collections.abc import Iterator
from itertools import count
from typing import Final

STEPS_PER_WALK: Final = 4
CLIENTS_MAX: Final = 1 << 12  # A manifest's number is its place in the walk, then the client.

# A published server.json in shape and size: 540 bytes.
_DOCUMENT: Final = (
    b'{"$schema":"https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",'
    b'"description":"Answers every message with the same message.",'
    b'"name":"io.github.acme/echo-%x","packages":[{"environmentVariables":[{"description":'
    b'"Where to listen","isRequired":true,"name":"ECHO_ADDRESS"}],"identifier":"@acme/echo",'
    b'"registryType":"npm","transport":{"type":"stdio"},"version":"1.0.0"}],'
    b'"repository":{"source":"github","url":"https://github.com/acme/echo"},'
    b'"title":"Echo","version":"1.0.0","websiteUrl":"https://echo.acme.example/docs"}'
)
_ID: Final = b'"manifest_id":"io.github.acme/echo-%x@1.0.0"'
# As long as the UUIDv7 that `manifestctl` makes up for every write.
_COMMAND: Final = b'"command_id":"0193a5c0-0000-7000-%04x-%012x"'
_CREATE: Final = (
    b'{"op":"create",%b,"kind":"mcp-server","manifest":%b,"principal":"author-%%x",%b}'
    % (_ID, _DOCUMENT, _COMMAND)
)
_SUBMIT, _APPROVE, _REGISTER = (
    b'{"op":"transition",%b,"event":"%b","expected_version":%d,"principal":"%b-%%x",%b}'
    % (_ID, event, version, principal, _COMMAND)
    for event, version, principal in (
        (b"submit_for_review", 1, b"author"),
        (b"approve", 2, b"approver"),
        (b"register", 3, b"registrar"),
    )
)


def requests(client: int) -> Iterator[bytes]:
    """Yield the endless requests of one client, four for each manifest."""
    assert 0 <= client < CLIENTS_MAX
    for walk in count():
        number = walk * CLIENTS_MAX + client
        yield _CREATE % (number, number, client, 1, number)
        yield _SUBMIT % (number, client, 2, number)
        yield _APPROVE % (number, client, 3, number)
        yield _REGISTER % (number, client, 4, number)
