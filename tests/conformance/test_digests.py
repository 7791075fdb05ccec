"""Digests by the vectors that implementations in other languages can use too."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from protocol.canonical import canonicalize, document_digest
from protocol.errors import BadRequestError

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).resolve().parents[2] / "fixtures/digests/vectors.jsonl")
    .read_text()
    .splitlines()
]
ACCEPTED = [vector for vector in VECTORS if "refused" not in vector]
REFUSED = [vector for vector in VECTORS if "refused" in vector]


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", ACCEPTED, ids=name_of)
def test_a_document_has_its_canonical_form_and_digest(vector: dict[str, Any]) -> None:
    canonical = canonicalize(vector["document"].encode())

    assert canonical.decode() == vector["canonical"]
    assert document_digest(canonical) == vector["digest"]


@pytest.mark.parametrize("vector", ACCEPTED, ids=name_of)
def test_a_vector_is_what_others_make_of_it(vector: dict[str, Any]) -> None:
    canonical = vector["canonical"].encode()

    assert rfc8785.dumps(json.loads(vector["document"])) == canonical
    assert vector["digest"] == f"sha256:{hashlib.sha256(canonical).hexdigest()}"


@pytest.mark.parametrize("vector", ACCEPTED, ids=name_of)
def test_a_canonical_form_is_its_own(vector: dict[str, Any]) -> None:
    assert canonicalize(vector["canonical"].encode()).decode() == vector["canonical"]


@pytest.mark.parametrize("vector", REFUSED, ids=name_of)
def test_what_has_no_canonical_form_is_refused_with_the_reason(vector: dict[str, Any]) -> None:
    hexadecimal = vector.get("document_hex")
    document = bytes.fromhex(hexadecimal) if hexadecimal else vector["document"].encode()

    with pytest.raises(BadRequestError) as caught:
        canonicalize(document)

    assert vector["refused"] in caught.value.message
    caught.value.message.encode()  # A reply can carry it.
