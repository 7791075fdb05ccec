"""One request of every op, with every member that it takes."""

from typing import Any

import msgspec

from protocol.commands import OPS, AnyRequest

DOCUMENT = msgspec.Raw(b'{"name":"a/b","version":"1.0.0"}')
WRITE: dict[str, Any] = {
    "manifest_id": "io.github.acme/echo@1.0.0",
    "command_id": "c-1",
    "expected_version": 2,
    "principal": "author-7",
    "correlation_id": "walk-1",
    "causation_id": "because",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "dry_run": True,
}
WORDS: dict[str, Any] = {"reason": 'because "\u2028"', "context": {"a": [1.5, {"b": None}]}}
MEMBERS: dict[str, dict[str, Any]] = {
    "create": WRITE | WORDS | {"manifest": DOCUMENT, "kind": "mcp-server", "lifecycle": "x@1"},
    "revise": WRITE | WORDS | {"manifest": DOCUMENT, "patch": msgspec.Raw(b'{"version":null}')},
    "transition": WRITE | WORDS | {"event": "approve", "target": "APPROVED", "digest": "sha256:0"},
    "revert": WRITE | {"reason": "no"},
    "comment": WRITE | {"text": "well"},
    "migrate": WRITE | {"lifecycle": "x@2", "states": {"A": "B"}, "reason": "no"},
    "redact": WRITE | {"version": 3, "field": "reason", "reason": "asked to", "force": True},
    "get": {"manifest_id": "a", "as_of": 3},
    "history": {"manifest_id": "a", "after_version": 7, "limit": 9},
    "list": {
        "state": "DRAFT",
        "kind": "agent",
        "author": "x",
        "lifecycle": "x@1",
        "can": "approve",
        "principal": "x",
        "cursor": "1",
        "limit": 2,
    },
    "explain": {"manifest_id": "a", "principal": "x"},
    "feed": {"after_seq": 812, "limit": 1},
    "lookup": {"urn": "urn:proto:agent:a@1.0.0"},
    "lifecycle": {"lifecycle": "manifest@1", "manifest_id": "a", "format": "mermaid"},
    "recover": {"manifest_id": "a"},
    "verify": {"manifest_id": "a"},
    "backup": {"token": "0123456789abcdef", "after_seq": 3, "upto_seq": 812, "limit": 2},
    "status": {},
    "health": {},
    "whoami": {"principal": "x"},
    "probe": {"token": "0123456789abcdef"},
}


def request_of(op: str) -> AnyRequest:
    """Return the request of `op` with all its members."""
    return OPS[op].request(**MEMBERS[op])  # type: ignore[return-value]
