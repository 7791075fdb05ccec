"""Delays as a lifecycle spells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.lifecycle.delays import DELAY_MS_MAX, DelayError, format_delay, parse_delay_ms


@pytest.mark.parametrize(
    ("text", "delay_ms"),
    [
        ("14d", 14 * 86_400_000),
        ("12h", 12 * 3_600_000),
        ("30m", 1_800_000),
        ("10s", 10_000),
        ("250ms", 250),
        ("1d12h", 129_600_000),
        ("1h1m1s1ms", 3_661_001),
        ("1m1ms", 60_001),
        ("90m", 5_400_000),
        ("007s", 7000),
        ("3650d", DELAY_MS_MAX),
    ],
)
def test_a_delay_is_read(text: str, delay_ms: int) -> None:
    assert parse_delay_ms(text) == delay_ms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, "14d, 1d12h") for text in ("", "d", "14", "14 d", "-1d", "1.5h", "P14D", "1w")),
        *(
            (text, "14d, 1d12h")
            for text in ("1h1d", "1d1d", "1d ", "1D", "\u0661d", "9" * 81 + "s")
        ),
        *((text, "ten years") for text in ("0s", "0d0ms", "3651d", "3650d1ms", "999999999999d")),
    ],
)
def test_what_is_no_delay_is_refused_with_a_mend(text: str, said: str) -> None:
    with pytest.raises(DelayError, match=said):
        parse_delay_ms(text)


@pytest.mark.parametrize(
    ("delay_ms", "text"), [(1, "1ms"), (129_600_000, "1d12h"), (3_661_001, "1h1m1s1ms")]
)
def test_a_delay_is_said_in_its_largest_units(delay_ms: int, text: str) -> None:
    assert format_delay(delay_ms) == text


@given(st.integers(1, DELAY_MS_MAX))
def test_what_is_said_is_read_again(delay_ms: int) -> None:
    assert parse_delay_ms(format_delay(delay_ms)) == delay_ms
