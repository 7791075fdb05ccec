"""The catalog: which manifests there are, in which states, and what every URN names.

Promise:  a projection of committed events; rebuilt from the store's summaries at start-up, it is
          what it was. A URN names at most one manifest.
Assume:   `update` is called for every committed event, in order.
Not here: reservations of URNs that are being registered; the store keeps those (design 7).
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from protocol.limits import PAGE_BYTES_MAX
from protocol.replies import ManifestSummary

SCANNED_MAX: Final = 10_000  # Rows a page looks at: a rare state must not hold up the loop.
_SEMVER: Final = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII
)
_encoder: Final = msgspec.json.Encoder()


class Page(NamedTuple):
    """Some manifests by age; `after` is the `created_seq` to go on from, None at the end."""

    manifests: list[ManifestSummary]
    after: int | None


def anything(_row: ManifestSummary) -> bool:
    """Want every row."""
    return True


class Catalog:
    """All manifests by id, by age, and by URN."""

    def __init__(self, summaries: Iterable[ManifestSummary] = ()) -> None:
        self._rows: dict[str, ManifestSummary] = {}
        self._by_age: list[tuple[int, str]] = []
        self._urns: dict[str, str] = {}
        self._versions: dict[str, list[str]] = {}  # URN without version -> URNs, highest last
        self._counts: dict[tuple[str, str], int] = {}
        for summary in summaries:
            self.update(summary)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, manifest_id: object) -> bool:
        return manifest_id in self._rows

    def get(self, manifest_id: str) -> ManifestSummary | None:
        """Return the row of a manifest, None when nothing was ever created under that id."""
        return self._rows.get(manifest_id)

    def ids(self) -> list[str]:
        """Return the ids of all manifests, oldest first."""
        return [manifest_id for _, manifest_id in self._by_age]

    def update(self, row: ManifestSummary) -> None:
        """Take note of a manifest's state after a committed event."""
        before = self._rows.get(row.manifest_id)
        if before is None:
            # At the end, but for another writer's manifest that took long to load.
            insort(self._by_age, (row.created_seq, row.manifest_id))
        if before is None or (before.state, before.lifecycle) != (row.state, row.lifecycle):
            self._count(before, -1)
            self._count(row, 1)
        self._rows[row.manifest_id] = row
        if before is None or (before.registered, before.withdrawn) != (
            row.registered,
            row.withdrawn,
        ):
            self._note_urns(before, row)

    def _note_urns(self, before: ManifestSummary | None, row: ManifestSummary) -> None:
        """Bring up to date what the manifest's URNs name; one that it had once stays its own."""
        for urn in () if before is None else before.registered:
            urns = self._versions[_base(urn)]
            del urns[bisect_left(urns, _rank(urn), key=_rank)]
        for urn in (*row.registered, *row.withdrawn):
            self._urns[urn] = row.manifest_id
        for urn in row.registered:
            urns = self._versions.setdefault(_base(urn), [])
            if not urns or _rank(urns[-1]) < _rank(urn):  # As most are: the next version.
                urns.append(urn)
            else:
                insort(urns, urn, key=_rank)

    def _count(self, row: ManifestSummary | None, by: int) -> None:
        if row is None:
            return
        for state in states_of(row):
            key = (row.lifecycle, state)
            self._counts[key] = self._counts.get(key, 0) + by

    def counts(self, lifecycle: str | None = None) -> dict[str, int]:
        """Return the number of manifests by leaf state, of one lifecycle or of all."""
        totals: dict[str, int] = {}
        for (name, state), count in self._counts.items():
            if count and lifecycle in (None, name):
                totals[state] = totals.get(state, 0) + count
        return totals

    def urn_owner(self, urn: str) -> str | None:
        """Return the manifest that has, or had, content registered under `urn`."""
        return self._urns.get(urn)

    def resolve(self, urn: str) -> str | None:
        """Return the registered URN that `urn` means: itself, or its highest version."""
        urns = self._versions.get(_base(urn), [])
        place = bisect_left(urns, _rank(urn), key=_rank)
        if urns[place : place + 1] == [urn]:
            return urn
        versions = self._versions.get(urn)
        return versions[-1] if versions else None

    def page(
        self, after: int, limit: int, wanted: Callable[[ManifestSummary], bool] = anything
    ) -> Page:
        """Return at most `limit` `wanted` manifests created after seq `after`, oldest first.

        A page may hold fewer, or none, and still not be the last one: it ends after so many rows
        looked at, or bytes.
        """
        found: list[ManifestSummary] = []
        size_bytes = 0
        start = bisect_right(self._by_age, after, key=lambda entry: entry[0])
        end = min(start + SCANNED_MAX, len(self._by_age))
        for place in range(start, end):
            row = self._rows[self._by_age[place][1]]
            if wanted(row):
                found.append(row)
                size_bytes += len(_encoder.encode(row))
                if len(found) == limit or size_bytes >= PAGE_BYTES_MAX:
                    end = place + 1
                    break
        return Page(found, self._by_age[end - 1][0] if end < len(self._by_age) else None)


def states_of(row: ManifestSummary) -> tuple[str, ...] | list[str]:
    """Return the leaf states of a row."""
    return (row.state,) if isinstance(row.state, str) else row.state


def _base(urn: str) -> str:
    """Return a URN without its version."""
    return urn.rpartition("@")[0]


def _rank(urn: str) -> tuple[Any, ...]:
    """Return a key that sorts the URNs of one base by version; no two are equal."""
    return (*version_key(unquote(urn.rpartition("@")[2])), urn)


def version_key(version: str) -> tuple[Any, ...]:
    """Return a key that sorts versions by SemVer 2.0 precedence (11); others come first, by text.

    Versions of equal precedence (`1.0.0+a`, `1.0.0+b`) go by their text, so that no two are equal.
    """
    match = _SEMVER.fullmatch(version)
    if match is None:
        return (0, version)
    numbers = tuple(int(part or 0) for part in match.group(1, 2, 3))
    if match.group(4) is None:
        return (1, *numbers, 1, version)
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in match.group(4).split(".")
    )
    return (1, *numbers, 0, parts, version)
