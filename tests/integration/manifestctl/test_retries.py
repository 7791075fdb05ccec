"""Both clients over real sockets, against a daemon that drops, delays, refuses and is not there.

The blocking client runs in a thread, so that one test can hold both to the same behaviour.
"""

import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from manifestctl import Client, RetryPolicy, SyncClient
from protocol.commands import Revert
from protocol.errors import (
    BadRequestError,
    NotFoundError,
    OptimisticLockError,
    OverloadedError,
    UnavailableError,
)
from protocol.replies import GetResult
from tests.support.fake_daemon import OK_HEALTH, OK_STEP, Answer, FakeDaemon, Request, ok, refused

FAST = RetryPolicy(
    timeout_s=20.0, attempt_timeout_s=0.2, switch_s=0.1, pause_s_first=0.001, pause_s_max=0.01
)
Call = Callable[..., Awaitable[Any]]
GET = {
    **OK_STEP,
    "lifecycle": "manifest@1",
    "created_at": "t",
    "updated_at": "t",
    "contributors": [],
    "approvals": [],
    "rejection": None,
    "registered": [],
    "timers": [],
    "context": {},
    "manifest": {},
}


def nothing_listens() -> str:
    return f"ipc://{tempfile.gettempdir()}/manifestd-nobody/commands"


@pytest.fixture(params=["async", "sync"])
def call(request: pytest.FixtureRequest) -> Call:
    """Return `call(endpoints, method, ..., retry=policy)`, which uses a client of each sort."""

    async def with_async(
        endpoints: list[str], method: str, *arguments: object, retry: RetryPolicy = FAST
    ) -> object:
        async with Client(endpoints, retry=retry) as client:
            return await getattr(client, method)(*arguments)

    async def with_sync(
        endpoints: list[str], method: str, *arguments: object, retry: RetryPolicy = FAST
    ) -> object:
        def run() -> object:
            with SyncClient(endpoints, retry=retry) as client:
                return getattr(client, method)(*arguments)

        return await asyncio.to_thread(run)

    return with_async if request.param == "async" else with_sync


def after(number: int, answer: bytes, *, before: bytes | None = None) -> Answer:
    """Answer with `before` up to request `number`, and with `answer` from then on."""
    return lambda count, _: before if count < number else answer


async def test_lost_requests_are_sent_again_with_the_same_command_id(call: Call) -> None:
    with FakeDaemon(after(3, ok(OK_STEP))) as daemon:
        result = await call([daemon.commands], "submit", "a")

    assert result.state == "DRAFT"
    assert len(daemon.requests) == 3
    assert len({request["command_id"] for request in daemon.requests}) == 1
    assert daemon.requests[0] == daemon.requests[1] == daemon.requests[2]


async def test_a_nameless_document_keeps_its_id_over_retries(call: Call) -> None:
    with FakeDaemon(after(2, ok(OK_STEP))) as daemon:
        await call([daemon.commands], "create", {"some": "thing"})

    first, second = daemon.requests
    assert first["manifest_id"] == second["manifest_id"]


async def test_an_overloaded_daemon_is_asked_again_with_the_same_command_id(call: Call) -> None:
    busy = refused("OVERLOADED", details={"retry_after_ms": 1})
    with FakeDaemon(after(3, ok(OK_STEP), before=busy)) as daemon:
        await call([daemon.commands], "revert", "a")

    assert len(daemon.requests) == 3
    assert len({request["command_id"] for request in daemon.requests}) == 1


async def test_a_daemon_that_stays_overloaded_is_reported_as_that(call: Call) -> None:
    busy = refused("OVERLOADED", details={"retry_after_ms": 200})
    with FakeDaemon(lambda *_: busy) as daemon, pytest.raises(OverloadedError):
        await call([daemon.commands], "get", "a", retry=FAST._replace(timeout_s=0.3))


async def test_a_late_answer_is_not_taken_for_another_request_s(call: Call) -> None:
    def answer(number: int, request: Request) -> bytes:
        assert request["op"] == "health"
        return ok({**OK_HEALTH, "last_seq": number})

    with FakeDaemon(answer, held=1) as daemon:
        result = await call([daemon.commands], "health")

    assert result.last_seq == 2


async def test_a_refusal_is_not_repeated(call: Call) -> None:
    with FakeDaemon(lambda *_: refused("NOT_FOUND")) as daemon, pytest.raises(NotFoundError):
        await call([daemon.commands], "get", "a")

    assert len(daemon.requests) == 1


async def test_where_nobody_listens_the_next_endpoint_answers(call: Call) -> None:
    with FakeDaemon(lambda *_: ok(OK_HEALTH)) as daemon:
        result = await call([nothing_listens(), daemon.commands], "health")

    assert result.status == "ok"


async def test_where_nobody_answers_it_says_whom_it_asked(call: Call) -> None:
    quick = FAST._replace(timeout_s=0.3)
    nobody = nothing_listens()

    with pytest.raises(UnavailableError, match="nobody listens at ipc://"):
        await call([nobody], "submit", "a", retry=quick)

    with (
        FakeDaemon(lambda *_: None) as daemon,
        pytest.raises(UnavailableError, match="no answer from") as caught,
    ):
        await call([daemon.commands], "submit", "a", retry=quick)

    assert caught.value.details["command_id"] == daemon.requests[0]["command_id"]


async def test_a_command_that_was_given_up_is_not_sent_when_a_daemon_appears() -> None:
    """Also where the client lives on: nothing waits in its socket."""
    quick = FAST._replace(timeout_s=0.1, attempt_timeout_s=0.1)
    with FakeDaemon(lambda *_: ok(OK_HEALTH)) as daemon:
        path = Path(daemon.commands.removeprefix("ipc://"))
        away = path.with_name("away")
        path.rename(away)
        async with Client(daemon.commands, retry=quick) as client:
            with pytest.raises(UnavailableError):
                await client.submit("a")
            away.rename(path)
            client.retry = FAST
            await client.health()

    assert [request["op"] for request in daemon.requests] == ["health"]


async def test_many_requests_under_way_find_their_own_answers() -> None:
    def answer(_: int, request: Request) -> bytes:
        return ok({**GET, "manifest_id": request["manifest_id"]})

    with FakeDaemon(answer) as daemon:
        async with Client(daemon.commands) as client, asyncio.TaskGroup() as group:
            names = [f"m-{number}" for number in range(200)]
            tasks = [group.create_task(client.get(name)) for name in names]

    assert [task.result().manifest_id for task in tasks] == names


async def test_a_cancelled_request_leaves_the_others_alone() -> None:
    gone = threading.Event()

    def answer(_: int, request: Request) -> bytes | None:
        if request["op"] == "status":
            gone.set()
            return None
        return ok(OK_HEALTH)

    with FakeDaemon(answer) as daemon:
        async with Client(daemon.commands) as client:
            waiting = asyncio.create_task(client.status())
            await asyncio.to_thread(gone.wait)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await client.health()).status == "ok"


async def test_update_decides_anew_on_what_another_left(call: Call) -> None:
    version = 1

    def answer(_: int, request: Request) -> bytes:
        nonlocal version
        if request["op"] == "get":
            return ok({**GET, "version": version})
        if request["expected_version"] < 3:
            version += 1
            return refused("VERSION_CONFLICT", details={"expected": 1, "actual": version})
        return ok({**OK_STEP, "version": 4})

    with FakeDaemon(answer) as daemon:
        updated = await call([daemon.commands], "update", "a", _revert)

    commands = [request for request in daemon.requests if request["op"] == "revert"]
    assert (updated.result.version, updated.attempts) == (4, 3)
    assert [command["expected_version"] for command in commands] == [1, 2, 3]
    assert len({command["command_id"] for command in commands}) == 3


def _revert(state: GetResult) -> Revert:
    return Revert(manifest_id=state.manifest_id)


async def test_update_gives_up_after_its_attempts(call: Call) -> None:
    def answer(_: int, request: Request) -> bytes:
        return ok(GET) if request["op"] == "get" else refused("VERSION_CONFLICT")

    with FakeDaemon(answer) as daemon, pytest.raises(OptimisticLockError):
        await call([daemon.commands], "update", "a", _revert, 2)

    assert len(daemon.requests) == 4


async def test_update_writes_nothing_where_there_is_nothing_to_do(call: Call) -> None:
    with FakeDaemon(lambda *_: ok(GET)) as daemon:
        updated = await call([daemon.commands], "update", "a", lambda _: None)

    assert updated == (None, 1)
    with FakeDaemon(lambda *_: ok(GET)) as daemon, pytest.raises(ValueError, match="at least 1"):
        await call([daemon.commands], "update", "a", lambda _: None, 0)


async def test_an_async_decision_is_awaited() -> None:
    async def decide(_: GetResult) -> None:
        return None

    with FakeDaemon(lambda *_: ok(GET)) as daemon:
        async with Client(daemon.commands) as client:
            assert (await client.update("a", decide)).attempts == 1


def test_no_thread_is_left_after_close() -> None:
    with FakeDaemon(lambda *_: ok(OK_HEALTH)) as daemon:
        tasks = Path("/proc/self/task")
        before = len(list(tasks.iterdir()))
        with SyncClient(daemon.commands) as client:
            client.health()
            assert len(list(tasks.iterdir())) > before

        assert len(list(tasks.iterdir())) == before


def test_threads_that_share_a_blocking_client_take_turns() -> None:
    def answer(_: int, request: Request) -> bytes:
        return ok({**GET, "manifest_id": request["manifest_id"]})

    names = [f"m-{number}" for number in range(8)]
    with (
        FakeDaemon(answer) as daemon,
        SyncClient(daemon.commands) as client,
        ThreadPoolExecutor() as threads,
    ):
        states = list(threads.map(client.get, names))

    assert [state.manifest_id for state in states] == names


def test_what_is_wrong_locally_is_not_sent() -> None:
    with FakeDaemon(lambda *_: ok(OK_STEP)) as daemon, SyncClient(daemon.commands) as client:
        with pytest.raises(BadRequestError):
            client.create("not json")

        assert daemon.requests == []
