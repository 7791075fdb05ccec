"""The catalog: pages that stay put while manifests come and change, and the highest version."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import catalog as catalog_module
from actors.catalog import Catalog, version_key
from protocol.replies import ManifestSummary


def _row(number: int, state: str | list[str] = "DRAFT", **members: Any) -> ManifestSummary:  # noqa: ANN401 (members of the struct)
    return ManifestSummary(
        **{
            "manifest_id": f"m{number}",
            "kind": "agent",
            "lifecycle": "manifest@1",
            "state": state,
            "version": 1,
            "seq": number,
            "digest": "sha256:x",
            "urn": None,
            "author": "alice",
            "created_seq": number,
            "created_at": "",
            "updated_at": "",
            **members,
        }
    )


def _ids(rows: list[ManifestSummary]) -> list[str]:
    return [row.manifest_id for row in rows]


# https://semver.org/spec/v2.0.0.html#spec-item-11, and what is none, in rising order.
RISING = [
    "banana",
    "latest",
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1",
    "1.0",
    "1.0.0",
    "1.0.0+a",
    "1.0.0+b",
    "v1.0.1",
    "1.9.0",
    "1.10.0",
    "2.0.0-rc.1",
    "10.0.0",
]


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(RISING)))
def test_versions_rise_as_semver_says(lower: str, higher: str) -> None:
    assert version_key(lower) < version_key(higher)


def test_what_is_no_version_is_below_all_that_are() -> None:
    assert sorted(["1.0.0", "latest", "0.0.1-a", "banana", "٣"], key=version_key) == [
        "banana",
        "latest",
        "٣",
        "0.0.1-a",
        "1.0.0",
    ]


@given(st.lists(st.text("01v.-+ab%", min_size=1, max_size=8), min_size=2, max_size=8, unique=True))
def test_any_versions_have_one_highest_in_whatever_order_they_came(versions: list[str]) -> None:
    backwards = versions[::-1]

    assert sorted(versions, key=version_key) == sorted(backwards, key=version_key)


@pytest.mark.parametrize("order", [1, -1])
def test_a_urn_without_version_is_its_highest_whatever_was_registered_last(order: int) -> None:
    versions = ["1.0.0", "1.0.0%2Bbuild", "1.0.0%2Bother", "0.9.9", "1.0.0-rc.1", "nightly"]
    catalog = Catalog(
        _row(number, "REGISTERED", registered=(f"urn:proto:agent:echo@{version}",))
        for number, version in enumerate(versions[::order], 1)
    )

    assert catalog.resolve("urn:proto:agent:echo") == "urn:proto:agent:echo@1.0.0%2Bother"
    assert catalog.resolve("urn:proto:agent:echo@0.9.9") == "urn:proto:agent:echo@0.9.9"
    assert catalog.resolve("urn:proto:agent:ech") is None
    assert catalog.resolve("urn:proto:agent:echo@1") is None


def test_one_of_many_versions_is_found_without_going_through_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = "urn:proto:agent:echo"
    urns = [f"{base}@1.{number}.0" for number in range(2000)]
    numbers = [*range(1, 2000, 2), *range(0, 2000, 2)]
    catalog = Catalog(
        _row(number + 1, "REGISTERED", registered=(urns[number],)) for number in numbers
    )
    ranked: list[str] = []

    def counted(version: str) -> tuple[Any, ...]:
        ranked.append(version)
        return version_key(version)

    monkeypatch.setattr(catalog_module, "version_key", counted)
    for urn, means in ((base, urns[1999]), (urns[7], urns[7]), (f"{base}@1.2000.0", None)):
        ranked.clear()
        assert catalog.resolve(urn) == means
        assert len(ranked) < 20
    for number in (1999, 1997, 7):
        ranked.clear()
        catalog.update(_row(number + 1, "WITHDRAWN", withdrawn=(urns[number],)))
        assert len(ranked) < 20
        assert catalog.resolve(urns[number]) is None

    assert catalog.resolve(base) == urns[1998]


def test_counts_follow_states_and_lifecycles() -> None:
    catalog = Catalog([_row(1), _row(2, ["A", "B"], lifecycle="other@1")])
    catalog.update(_row(1, "REVIEWED"))
    catalog.update(_row(2, ["A", "B"], lifecycle="other@2"))

    assert catalog.counts() == {"REVIEWED": 1, "A": 1, "B": 1}
    assert catalog.counts("other@1") == {}
    assert catalog.counts("other@2") == {"A": 1, "B": 1}
    assert (len(catalog), "m1" in catalog, "m3" in catalog) == (2, True, False)


def test_a_page_ends_where_it_is_told_and_the_next_one_goes_on_there() -> None:
    catalog = Catalog(_row(number) for number in range(1, 8))
    pages, after = [], 0
    while True:
        page = catalog.page(after, 3)
        pages.append(_ids(page.manifests))
        if page.after is None:
            break
        after = page.after

    assert pages == [["m1", "m2", "m3"], ["m4", "m5", "m6"], ["m7"]]
    assert catalog.page(7, 3) == ([], None)
    assert catalog.page(99, 3) == ([], None)


def test_a_full_last_page_is_the_last() -> None:
    assert Catalog([_row(1), _row(2)]).page(0, 2).after is None


def test_pages_stay_put_while_manifests_come_and_change() -> None:
    catalog = Catalog(_row(number) for number in range(1, 5))
    first = catalog.page(0, 2)
    catalog.update(_row(1, "REVIEWED", version=2))
    catalog.update(_row(9))
    assert first.after is not None

    assert _ids(catalog.page(first.after, 9).manifests) == ["m3", "m4", "m9"]


def test_a_manifest_that_is_noticed_late_takes_its_place_by_age() -> None:
    catalog = Catalog([_row(1), _row(5)])
    catalog.update(_row(3))

    assert catalog.ids() == ["m1", "m3", "m5"]
    assert _ids(catalog.page(1, 1).manifests) == ["m3"]


def test_a_rare_state_does_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "SCANNED_MAX", 10)
    catalog = Catalog(_row(number, "RARE" if number == 25 else "DRAFT") for number in range(1, 31))
    pages, after = [], 0
    while True:
        page = catalog.page(after, 5, lambda row: row.state == "RARE")
        pages.append(_ids(page.manifests))
        if page.after is None:
            break
        after = page.after

    assert pages == [[], [], ["m25"]]


def test_a_page_ends_when_it_has_bytes_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "PAGE_BYTES_MAX", 1000)
    catalog = Catalog(_row(number, author="x" * 200) for number in range(1, 9))

    page = catalog.page(0, 8)

    assert _ids(page.manifests) == ["m1", "m2", "m3"]
    assert page.after == 3


def test_what_is_withdrawn_is_found_no_more_and_keeps_its_urn() -> None:
    old, new = "urn:proto:agent:echo@1.0.0", "urn:proto:agent:echo@2.0.0"
    catalog = Catalog([_row(1, "REGISTERED", registered=(old, new))])
    assert catalog.resolve("urn:proto:agent:echo") == new

    catalog.update(_row(1, "WITHDRAWN", registered=(old,), withdrawn=(new,)))

    assert (catalog.resolve("urn:proto:agent:echo"), catalog.resolve(new)) == (old, None)
    assert catalog.urn_owner(new) == catalog.urn_owner(old) == "m1"
    again = Catalog([_row(1, "WITHDRAWN", registered=(old,), withdrawn=(new,))])
    assert (again.resolve(new), again.urn_owner(new)) == (None, "m1")

    catalog.update(_row(1, "REGISTERED", registered=(old, new)))

    assert catalog.resolve("urn:proto:agent:echo") == new
