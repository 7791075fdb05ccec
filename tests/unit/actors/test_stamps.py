"""Time, ids and salts."""

from uuid import UUID

from actors.stamps import SystemStamper


def test_a_stamp_says_its_time_twice() -> None:
    stamper = SystemStamper(clock_ns=lambda: 1_795_446_245_123_456_789)

    stamp = stamper.stamp()

    assert stamp.at == "2026-11-23T15:04:05.123456Z"
    assert UUID(stamp.event_id).version == 7
    assert int(stamp.event_id.replace("-", "")[:12], 16) == 1_795_446_245_123


def test_no_two_stamps_share_their_randomness_also_across_the_pool_s_end() -> None:
    asked: list[int] = []

    def randomness(size: int) -> bytes:
        asked.append(size)
        return b"".join(
            (number + 1000 * len(asked)).to_bytes(13) * 2 for number in range(size // 26)
        )

    stamper = SystemStamper(randomness=randomness)
    stamps = [stamper.stamp() for _ in range(600)]

    assert len({stamp.salt for stamp in stamps}) == 600
    assert len({stamp.event_id for stamp in stamps}) == 600
    assert {len(stamp.salt) for stamp in stamps} == {32}
    assert len(asked) == 3


def test_the_system_s_stamps_differ() -> None:
    stamper = SystemStamper()

    assert len({stamper.stamp().event_id for _ in range(1000)}) == 1000
