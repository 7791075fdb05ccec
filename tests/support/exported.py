"""The lines of `manifestctl export --history` of a store with as many events as a test likes."""

from collections.abc import Iterator
from typing import Final

from protocol.backup import lifecycle_line
from protocol.lifecycle.registry import DEFAULT_LIFECYCLE, LifecycleRegistry
from tests.support.events import Chain

LIFE: Final = (None, "REVIEWED", None, "APPROVED", "REGISTERED")


def exported(count: int) -> Iterator[bytes]:
    """Yield the export of a store of `count` events: lives of five, twenty of them at a time."""
    definition = LifecycleRegistry.builtin().get(DEFAULT_LIFECYCLE).to_json()
    yield lifecycle_line(DEFAULT_LIFECYCLE, definition)
    seq = 0
    for first in range(0, count // len(LIFE), 20):
        chains = [Chain(f"acme/m{first + number}@1.0.0") for number in range(20)]
        for to in LIFE:
            for chain in chains:
                seq += 1
                urn = f"urn:proto:mcp-server:{chain.manifest_id}" if to == "REGISTERED" else None
                yield chain.next(to=to, urn=urn).line(seq)
