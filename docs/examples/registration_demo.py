"""The whole life of several manifests, on a real daemon in a temporary folder: `make demo`.

Left: what somebody does. Right of the bar: the events as a subscriber receives them, live. In the
middle of it the daemon is killed with `kill -9`, and started again.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final, Self

from manifestctl import Client, CommandError, ReceivedEvent, Subscriber
from manifestctl.event_text import event_line

MCP_SERVER: Final = {
    "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
    "name": "io.github.acme/weather",
    "description": "Weather and forecasts for any place on Earth.",
    "version": "1.2.0",
    "packages": [
        {
            "registryType": "npm",
            "identifier": "@acme/weather-mcp",
            "version": "1.2.0",
            "transport": {"type": "stdio"},
            "environmentVariables": [{"name": "WEATHER_KEY", "isSecret": True}],
        }
    ],
}
AGENT_CARD: Final = {
    "protocolVersion": "0.3.0",
    "name": "travel-planner",
    "description": "Plans a journey and books what it needs.",
    "version": "2.0.1",
    "url": "https://agents.example/travel/a2a",
    "provider": {"organization": "acme", "url": "https://acme.example"},
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [
        {
            "id": "plan",
            "name": "Plan a journey",
            "description": "From a wish to an itinerary.",
            "tags": ["travel", "planning"],
        }
    ],
}
OASF_RECORD: Final = {
    "name": "example.org/acme/summarizer",
    "version": "v1.0.0",
    "schema_version": "0.7.0",
    "description": "Summarizes long documents.",
    "authors": ["Acme"],
    "created_at": "2026-11-01T09:00:00Z",
    "skills": [{"id": 10201, "name": "natural_language_processing/text_completion"}],
}
AGENT: Final = {
    "name": "invoice-checker",
    "version": "0.9.0",
    "description": "Compares invoices with orders.",
    "capabilities": {"tools": [{"name": "compare"}]},
    "metadata": {"owner": "finance", "tags": ["invoices"]},
}


class Daemon:
    """A `manifestd --dev` of the demo's own."""

    def __init__(self, folder: Path) -> None:
        self.commands = f"ipc://{folder}/commands"
        self.events = f"ipc://{folder}/events"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process; a client waits by itself until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "daemon", "--dev"),
                *("--data-dir", str(self._folder / "store")),
                *("--commands", self.commands, "--events", self.events),
                stdout=log,
                stderr=log,
            )

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave no process behind, whatever happened."""
        if self._process is not None and self._process.returncode is None:
            print((self._folder / "log").read_text(), file=sys.stderr)
            await self.end(signal.SIGKILL)


def say(text: str) -> None:
    """Print what somebody does."""
    print(text, flush=True)


async def refused(what: str, attempt: Awaitable[Any]) -> None:
    """Show how the daemon refuses; a demo in which it does not is broken."""
    try:
        await attempt
    except CommandError as error:
        say(f"{what}\n  refused, {error.code}: {error}")
    else:
        raise AssertionError(f"{what}: this should have been refused")


async def show(subscriber: Subscriber) -> None:
    """Print every event as it arrives, up to the remark, which is the last one."""
    async for item in subscriber:
        if isinstance(item, ReceivedEvent):
            say(f"{'':24}│ {event_line(item, colours=sys.stdout.isatty())}")
            if item.type == "commented":
                return


async def whole_life(client: Client) -> None:
    """DRAFT, REVIEWED, APPROVED, REGISTERED, with what people get wrong on the way."""
    weather = "io.github.acme/weather@1.2.0"
    say("\n1. An MCP server. Its author forgot the description.")
    draft = {name: value for name, value in MCP_SERVER.items() if name != "description"}
    await client.create(draft, manifest_id=weather, principal="ada")
    await refused("ada submits it", client.submit(weather, principal="ada"))
    say("ada adds it and submits again")
    patch = {"description": MCP_SERVER["description"]}
    await client.revise(weather, patch=patch, principal="ada")
    await client.submit(weather, principal="ada")
    await refused("ada approves her own work", client.approve(weather, principal="ada"))
    say("grace sends it back, with a reason")
    await client.reject(weather, reason="say where the data comes from", principal="grace")
    better = {"description": "Weather and forecasts from the national services."}
    await client.revise(weather, patch=better, principal="ada")
    await client.submit(weather, principal="ada")
    state = await client.get(weather)
    say(f"grace approves exactly the content that she read, {state.digest[:19]}…")
    await client.approve(weather, digest=state.digest, principal="grace")
    registered = await client.register(weather, principal="grace")
    say(f"registered as {registered.urn}")


async def others(client: Client) -> None:
    """Three more kinds, recognised by what is in them; a URN names one manifest only."""
    say("\n2. An A2A agent card, an OASF record and an agent of our own protocol.")
    for document, manifest_id in (
        (AGENT_CARD, "travel-planner@2.0.1"),
        (OASF_RECORD, "summarizer@v1.0.0"),
        (AGENT, "invoice-checker@0.9.0"),
    ):
        created = await client.create(document, manifest_id=manifest_id, principal="ada")
        say(f"{manifest_id} is an {created.kind}")
        await client.submit(manifest_id, principal="ada")
        await client.approve(manifest_id, principal="grace")
        await client.register(manifest_id, principal="grace")
    say("\n3. Somebody claims a name that is taken.")
    await client.create(AGENT, manifest_id="copycat", principal="mallory")
    await client.submit("copycat", principal="mallory")
    await client.approve("copycat", principal="grace")
    await refused("mallory's copy is registered", client.register("copycat", principal="grace"))


async def crash(client: Client, daemon: Daemon) -> None:
    """Nothing acknowledged is lost, and a retry gets the first answer."""
    say("\n4. kill -9, and a client that does not know whether its comment was taken.")
    remark = "a copy; see the original"
    first = await client.comment("copycat", text=remark, command_id="remark-1")
    await daemon.end(signal.SIGKILL)
    await daemon.start()
    again = await client.comment("copycat", text=remark, command_id="remark-1")
    say(f"asked again with the same command id: version {again.version}, replayed={again.replayed}")
    assert (again.version, again.replayed) == (first.version, True)
    stale = client.comment("copycat", text="old facts", expected_version=first.version - 1)
    await refused("a command that expects an older version", stale)


async def summary(client: Client) -> None:
    """What the registry holds, and that its hash chains are whole."""
    say("\n5. The registry.")
    async for manifest in client.every_manifest():
        say(f"  {manifest.state:<11} v{manifest.version}  {manifest.urn or manifest.manifest_id}")
    found = await client.lookup("urn:proto:mcp-server:io.github.acme/weather")
    say(f"the newest io.github.acme/weather is {found.urn}")
    verified = await client.verify()
    say(f"hash chains: {verified.events} events of {verified.manifests} manifests are intact")


async def main() -> None:
    """Run the demo."""
    with tempfile.TemporaryDirectory(prefix="manifestd-") as name:
        async with Daemon(Path(name)) as daemon:
            async with Client(daemon.commands, daemon.events) as client:
                await watched(client, daemon)
                await summary(client)
            status = await daemon.end(signal.SIGTERM)
            say(f"\nSIGTERM: the daemon drained and ended with status {status}")
            assert status == os.EX_OK


async def watched(client: Client, daemon: Daemon) -> None:
    """Do all of it with a subscriber that shows every event."""
    async with Subscriber(client, from_seq=1) as subscriber, asyncio.TaskGroup() as tasks:
        await subscriber.start()
        tasks.create_task(show(subscriber))
        await whole_life(client)
        await others(client)
        await crash(client, daemon)


if __name__ == "__main__":
    asyncio.run(main())
