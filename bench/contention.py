"""Optimistic locking under contention: many tasks change few manifests, none waits for another.

Each task reads a manifest, decides, and writes with the version that it read; who lost reads and
decides again after a random pause (`manifestctl.Client.update`).
"""

import asyncio
import random
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.figures import Figure
from bench.processes import command, running
from manifestctl import Client, OptimisticLockError
from protocol.commands import Revise
from protocol.replies import GetResult

TASKS: Final = 16
MANIFESTS: Final = 10
ATTEMPTS_MAX: Final = 3
SUCCESS_MIN_PERCENT: Final = 95.0


class Retries(NamedTuple):
    """What many updates came to."""

    attempts: list[int]  # Of every update that got through.
    failed: int  # Updates that `ATTEMPTS_MAX` attempts were not enough for.

    @property
    def average_attempts(self) -> float:
        """Attempts per update; one that failed made all of them."""
        made = sum(self.attempts) + ATTEMPTS_MAX * self.failed
        return made / (len(self.attempts) + self.failed)

    @property
    def success_percent(self) -> float:
        """The share of updates that got through."""
        return 100 * len(self.attempts) / (len(self.attempts) + self.failed)


async def contend(folder: Path, updates_per_task: int) -> Retries:
    """Start a daemon, let the tasks loose on it, and return what it took them."""
    commands, events = folder / "commands", folder / "events"
    arguments = ("--dev", "--data-dir", str(folder / "contended"))
    endpoints = ("--commands", f"ipc://{commands}", "--events", f"ipc://{events}")
    daemon = command("daemon", *arguments, *endpoints)
    with running(daemon, commands, folder / "daemon.log"):
        async with Client(f"ipc://{commands}", f"ipc://{events}") as client:
            ids = [f"io.github.acme/contended-{number}@1.0.0" for number in range(MANIFESTS)]
            for manifest_id in ids:
                document = {"name": manifest_id, "version": "1.0.0"}
                await client.create(document, manifest_id=manifest_id, kind="agent")
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_update(client, ids, updates_per_task, seed))
                    for seed in range(TASKS)
                ]
    ended = [attempts for task in tasks for attempts in task.result()]
    through = [attempts for attempts in ended if attempts is not None]
    return Retries(through, len(ended) - len(through))


async def _update(client: Client, ids: list[str], updates: int, seed: int) -> list[int | None]:
    """Revise manifests chosen at random; the attempts it took, None where they ran out."""
    choose = random.Random(seed).choice  # noqa: S311 (the same choices in every run)

    def decide(state: GetResult) -> Revise:
        patch = msgspec.Raw(b'{"description":"revised after version %d"}' % state.version)
        return Revise(manifest_id=state.manifest_id, patch=patch)

    ended: list[int | None] = []
    for _ in range(updates):
        try:
            updated = await client.update(choose(ids), decide, ATTEMPTS_MAX)
        except OptimisticLockError:
            ended.append(None)
        else:
            ended.append(updated.attempts)
    return ended


def figures(retries: Retries) -> list[Figure]:
    """Return the average number of attempts, and how many updates got through with three."""
    updates = len(retries.attempts) + retries.failed
    return [
        Figure(
            "optimistic_lock_retries",
            retries.average_attempts,
            "attempts",
            float(ATTEMPTS_MAX),
            note=f"average of {updates} updates, {TASKS} tasks on {MANIFESTS} manifests",
        ),
        Figure(
            f"updates within {ATTEMPTS_MAX} attempts",
            retries.success_percent,
            "%",
            SUCCESS_MIN_PERCENT,
            is_floor=True,
        ),
    ]
