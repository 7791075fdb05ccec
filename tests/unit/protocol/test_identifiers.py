"""Names that travel: which are taken, and that they cannot climb, split or collide."""

from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadRequestError
from protocol.identifiers import (
    MANIFEST_ID_PATTERN,
    check_manifest_id,
    event_topic,
    id_for_command,
    is_manifest_id,
    quote_id,
    uuid7,
)

manifest_ids = st.from_regex(MANIFEST_ID_PATTERN, fullmatch=True).filter(
    lambda text: len(text) <= 512
)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0",
        "io.github.acme/echo@1.0.0",
        "a/b/c",
        "A.b_c:d@e+f-g",
        "x" * 512,
        "/".join("a" * 200),
        "a..b",
    ],
)
def test_an_id_is_taken(text: str) -> None:
    assert is_manifest_id(text)
    check_manifest_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x" * 513,
            "/" * 100,
            "../../etc/passwd",
            "a/../b",
            "a/./b",
            "a//b",
            "/a",
            "a/",
            "-rf",
        ),
        *(
            ".hidden",
            "a/.b",
            "a\n",
            "\na",
            "a b",
            "a\0",
            "a%2Fb",
            "é",
            "\u0661",
            "a\\b",
            "a~b",
            "a" * 512 + "\n",
        ),
    ],
)
def test_what_is_no_id_is_refused_and_shown(text: str) -> None:
    assert not is_manifest_id(text)
    with pytest.raises(BadRequestError, match="is not a manifest id") as caught:
        check_manifest_id(text)
    assert caught.value.path == "/manifest_id"
    assert len(caught.value.message) < 400


@given(manifest_ids)
def test_a_quoted_id_is_one_safe_part_and_can_be_read_back(manifest_id: str) -> None:
    quoted = quote_id(manifest_id)

    assert unquote(quoted) == manifest_id
    assert "/" not in quoted
    assert not quoted.startswith((".", "-"))


times_ms = st.integers(0, 2**48 - 1)
randomness = st.binary(min_size=10, max_size=10)


@given(times_ms, randomness)
def test_a_uuid7_is_one_and_keeps_time_and_74_random_bits(at_ms: int, random: bytes) -> None:
    made = UUID(uuid7(at_ms, random))
    random_bits = (1 << 76) - 1 & ~(
        0xC << 60
    )  # All but four of the version and two of the variant.

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == at_ms
    assert made.int & random_bits == int.from_bytes(random) & random_bits
    assert str(made) == uuid7(at_ms, random)


@given(times_ms, randomness, times_ms, randomness)
def test_uuid7s_sort_by_time(one_ms: int, one: bytes, other_ms: int, other: bytes) -> None:
    if one_ms != other_ms:
        assert (uuid7(one_ms, one) < uuid7(other_ms, other)) == (one_ms < other_ms)


def test_a_retried_creation_finds_its_first_id() -> None:
    assert id_for_command("a", "c-1") == id_for_command("a", "c-1")
    assert len({id_for_command("a", "b"), id_for_command("b", "a"), id_for_command("ab", "")}) == 3
    assert is_manifest_id(id_for_command("a", "c-1"))


def test_a_topic_names_kind_id_and_states() -> None:
    assert event_topic("agent", "a/b@1", ("A", "B")) == b"event/agent/a%2Fb%401/A+B"
