"""The folder of a manifest."""

import hashlib
from pathlib import Path

from daemon.archive.layout import Layout

LAYOUT = Layout(Path("/data"))


def test_a_folder_is_named_by_the_quoted_id_under_two_digits_of_its_hash() -> None:
    manifest_id = "io.github.acme/echo@1.0.0"
    prefix = hashlib.sha256(manifest_id.encode()).hexdigest()[:2]

    folder = LAYOUT.folder(manifest_id)

    assert folder == Path(f"/data/manifests/{prefix}/io.github.acme%2Fecho%401.0.0")


def test_a_long_id_is_cut_at_180_bytes_and_ends_in_its_hash() -> None:
    longest = "a" * 512
    sibling = "a" * 511 + "b"

    name = LAYOUT.folder(longest).name

    assert name == "a" * 180 + "~" + hashlib.sha256(longest.encode()).hexdigest()
    assert len(name) == 245
    assert LAYOUT.folder(sibling).name != name


def test_an_id_of_180_quoted_bytes_is_left_whole() -> None:
    assert LAYOUT.folder("a" * 180).name == "a" * 180
    assert "~" in LAYOUT.folder("a" * 178 + "/b").name
