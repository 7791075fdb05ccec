"""Who has which URN: the catalog actor's memory (design 7).

Promise:  one URN has one owner. A crash leaves nothing behind: confirmed URNs are in the index,
          all others are forgotten.
"""

from collections.abc import Iterable

from protocol.replies import ManifestSummary


class Reservations:
    """URNs that are registered, or about to be."""

    def __init__(self, rows: Iterable[ManifestSummary]) -> None:
        """Begin with what is registered according to `rows`."""
        self._confirmed = {
            urn: row.manifest_id for row in rows for urn in (*row.registered, *row.withdrawn)
        }
        self._reserved: dict[str, str] = {}

    def reserve(self, urn: str, manifest_id: str) -> str | None:
        """Reserve `urn`, or return the id of the other manifest that has it."""
        owner = self._confirmed.get(urn) or self._reserved.get(urn)
        if owner is not None and owner != manifest_id:
            return owner
        if owner is None:
            self._reserved[urn] = manifest_id
        return None

    def confirm(self, urn: str, manifest_id: str) -> None:
        """Make `urn` the manifest's for good."""
        if self._reserved.get(urn) == manifest_id:
            del self._reserved[urn]
        self._confirmed.setdefault(urn, manifest_id)

    def release(self, urn: str, manifest_id: str) -> None:
        """Give a reservation back; what is confirmed, or another manifest's, stays."""
        if self._reserved.get(urn) == manifest_id:
            del self._reserved[urn]
