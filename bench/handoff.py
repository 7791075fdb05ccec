"""`docs/handoff.json`: what is there to build on, for whoever comes next.

What the benchmark measured is filled in; the rest is said here, once. A test imports every name
under `interfaces`, so that none goes stale.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figures import Figure
from bench.processes import ROOT

PATH: Final = ROOT / "docs" / "handoff.json"
PERFORMANCE: Final = (
    "state_transition",
    "file_persistence",
    "event_log_append",
    "optimistic_lock_retries",
    "event_recovery",
)

COMPLETED: Final = (
    "Lifecycle DRAFT, REVIEWED, APPROVED, REGISTERED as data, on a statechart kernel of our own",
    "One actor with a bounded mailbox per manifest; commands on different manifests do not wait",
    "Append-only journal with group commit; nothing is said before it is durable",
    "Archive behind it: each manifest's events.log and state.json, written atomically",
    "Recovery from torn tails, damaged snapshots and failed syncs, decided by a table of damages",
    "Optimistic locking, idempotent commands, hash chain, four eyes, URN catalog",
    "ROUTER for plain REQ clients, PUB for subscribers, identity from the kernel",
    "Clients (async, blocking), gapless subscriber, command line",
)
INTERFACES: Final = {
    "daemon.open_pipeline": "the engine on a data directory, without sockets",
    "actors.pipeline.RegistrationPipeline": "create, transition_state, load_state, persist_state, "
    "recover_from_events, emit_state_change, on",
    "actors.ports.EventStore": "where events live: the port that a store implements",
    "actors.ports.Publisher": "where committed events are broadcast",
    "actors.decide.decide": "from a command and a state to one event or a refusal; pure",
    "daemon.store.FileStore": "the embedded EventStore: journal and archive",
    "manifestctl.Client": "the async client",
    "manifestctl.SyncClient": "the blocking client",
    "manifestctl.Subscriber": "events, ordered and gapless, without duplicates",
    "protocol.commands.OPS": "the whole API as one table",
    "protocol.errors.ManifestdError": "the root of all errors; OptimisticLockError is one of them",
    "protocol.events.read_event": "checks a line of the log and returns the event",
    "protocol.kinds.KindRegistry": "kinds of manifests: JSON Schema and URN rule",
    "protocol.lifecycle.registry.LifecycleRegistry": "lifecycles, by id@version",
    "protocol.snapshots.replay": "events to state; the same events give the same bytes",
    "protocol.snapshots.StateSnapshot": "the state of one manifest after its last event",
}
ASSUMPTIONS: Final = (
    "fdatasync means durable: the disk does not lie about its cache",
    "one daemon per data directory, on a local file system (flock, rename, syncfs)",
    "Linux 5.8 or newer: syncfs reports write errors",
    "peers on an ipc endpoint are who the kernel says; everybody in the socket's group may connect",
    "one manifest id is one release; a new version of a document is a new manifest",
)
NEXT_MISSION: Final = (
    "Point what registers manifests today at manifestd: create and submit from the build, "
    "review and approve by people with manifestctl, follow registrations with Subscriber."
)


def handoff(figures: Sequence[Figure], *, judged: bool) -> dict[str, Any]:
    """Return the document; `figures` must have those that `PERFORMANCE` names.

    `judged`: a bound that was missed is a blocker.
    """
    by_name = {figure.name: figure for figure in figures}
    return {
        "completed": COMPLETED,
        "interfaces": INTERFACES,
        "assumptions": ASSUMPTIONS,
        "performance_achieved": {
            name: {
                "value": float(f"{by_name[name].value:.4g}"),
                "unit": by_name[name].unit,
                "bound": by_name[name].bound,
                "what": by_name[name].note,
            }
            for name in PERFORMANCE
        },
        "next_mission": NEXT_MISSION,
        "blockers": [_blocker(figure) for figure in figures if judged and not figure.holds],
    }


def _blocker(figure: Figure) -> str:
    relation = "at least" if figure.is_floor else "at most"
    return (
        f"{figure.name} is {figure.value:.3g} {figure.unit} ({figure.note}), "
        f"{relation} {figure.bound:g} is asked"
    )


def write(figures: Sequence[Figure], path: Path, *, judged: bool) -> None:
    """Write the document to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = msgspec.json.encode(handoff(figures, judged=judged))
    path.write_bytes(msgspec.json.format(document, indent=2) + b"\n")
