"""Commands on one manifest, one after another, and never more of them than can wait."""

import asyncio
import inspect
import sys

import pytest

from actors.mailbox import MAILBOX_SIZE_MAX, Mailbox
from actors.ports import AppendOutcome, AppendRefusal
from protocol.errors import CommandError, OverloadedError, StorageFullError
from tests.support.engines import BOB, House, Outcome, comment, create, open_house, step


def test_a_mailbox_is_first_in_first_out_and_bounded() -> None:
    mailbox: Mailbox[int] = Mailbox("m", size_max=2)
    mailbox.put(1)
    mailbox.put(2)

    with pytest.raises(OverloadedError, match=r"mailbox of m is full \(2\)"):
        mailbox.put(3)
    assert (mailbox.take(), mailbox.take(), len(mailbox)) == (1, 2, 0)


async def test_of_fifty_commands_for_one_version_exactly_one_wins() -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")
        commands = [
            house.send(step("approve", expected_version=2, command_id=f"c-{number}"), BOB)
            for number in range(50)
        ]
        outcomes = await asyncio.gather(*commands)

        lost = [one for one in outcomes if isinstance(one, CommandError)]
        assert len(lost) == 49
        assert {one.code for one in lost} == {"VERSION_CONFLICT"}
        assert all(one.details == {"expected": 2, "actual": 3} for one in lost)
        assert all(one.allowed_events == ["register", "reject"] for one in lost)
        assert house.store.last_seq == 3


@pytest.mark.parametrize("version", [0, 1, 3, 99])
async def test_any_other_version_than_the_present_one_is_a_conflict(version: int) -> None:
    async with open_house() as house:
        await house.make(state="REVIEWED")

        error = await house.refusal(comment(expected_version=version))

        assert error.details == {"expected": version, "actual": 2}


async def test_a_create_expects_nothing_or_version_0() -> None:
    async with open_house() as house:
        assert (await house.refusal(create(expected_version=1))).code == "NOT_FOUND"
        assert (await house.ask(create(expected_version=0))).version == 1


async def test_a_full_mailbox_refuses_at_once_and_says_when_to_come_again() -> None:
    async with open_house() as house:
        await house.make()
        await house.make("other")
        house.store.held = True
        accepted = [house.send(comment(str(number))) for number in range(MAILBOX_SIZE_MAX + 1)]
        refused = house.send(comment("too many"))
        assert house.engine.directory.waiting == MAILBOX_SIZE_MAX
        elsewhere = house.send(comment(manifest_id="other"))

        assert refused.done()
        error = await refused
        assert isinstance(error, OverloadedError)
        assert error.retry_after_ms is not None
        assert error.retry_after_ms > 0
        house.store.held = False
        house.store.commit()
        assert len(await asyncio.gather(*accepted)) == MAILBOX_SIZE_MAX + 1
        await elsewhere
        events = house.store.disk.manifests["m"][1:]
        assert [event.payload.reason for event in events if event.payload] == [
            str(number) for number in range(MAILBOX_SIZE_MAX + 1)
        ]


async def waiting_after(house: House, count: int) -> int:
    """Return how many of `count` commands wait for a manifest that is held up; let all end."""
    await house.make()
    house.store.held = True
    sent = [house.send(comment(str(number))) for number in range(count)]
    waiting = house.engine.directory.waiting
    house.store.held = False
    house.store.commit()
    await asyncio.gather(*sent)
    return waiting


async def test_what_waits_for_one_manifest_is_bounded() -> None:
    async with open_house() as house:
        assert await waiting_after(house, 2 * MAILBOX_SIZE_MAX) <= MAILBOX_SIZE_MAX


async def test_a_mailbox_without_a_bound_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""

    def put(mailbox: Mailbox[object], letter: object) -> None:
        mailbox._letters.append(letter)  # noqa: SLF001

    monkeypatch.setattr(Mailbox, "put", put)
    async with open_house() as house:
        assert await waiting_after(house, 2 * MAILBOX_SIZE_MAX) > MAILBOX_SIZE_MAX


async def test_a_store_that_refuses_at_once_does_not_recurse_over_a_full_mailbox() -> None:
    full = AppendRefusal(AppendOutcome.FULL, StorageFullError("no room"))
    async with open_house() as house:
        await house.make()
        house.store.held = True
        first = house.send(comment("first"))
        waiting = [house.send(comment(str(number))) for number in range(MAILBOX_SIZE_MAX)]
        house.store.refusals = [full] * MAILBOX_SIZE_MAX
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 60)
        try:
            house.store.refuse(full)
        finally:
            sys.setrecursionlimit(limit)

        outcomes = await asyncio.gather(first, *waiting)
        assert {getattr(one, "code", one) for one in outcomes} == {"STORAGE_FULL"}
        house.store.held = False
        assert (await house.ask(comment())).version == 2


async def test_who_writes_again_from_his_answer_takes_his_turn() -> None:
    async with open_house() as house:
        await house.make()
        answers: list[str] = []
        done = asyncio.get_running_loop().create_future()

        def again(outcome: Outcome) -> None:
            answers.append(getattr(outcome, "code", "ok"))
            if len(answers) < 5:
                house.engine.handle(comment("again"), BOB, again)
            else:
                done.set_result(None)

        house.engine.handle(comment("once"), BOB, again)
        await done

        assert answers == ["ok"] * 5
        assert (await house.get()).version == 6
