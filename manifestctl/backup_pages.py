"""A backup as it comes over the wire: opened, then page by page, then at its end.

Promise:  the lines are checked one by one as they come (`protocol.backup`); a page that does not
          follow, or is another store's, ends it.
Not here: where the lines go.
"""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from protocol.backup import BackupError, BackupHeader, BackupWriter
from protocol.errors import CorruptError
from protocol.progress import ProgressReporter
from protocol.replies import BackupResult

if TYPE_CHECKING:
    from manifestctl.sync_client import SyncClient

STAGE: Final = "events"


class BackupPages:
    """One backup of the daemon behind `client`."""

    def __init__(self, client: "SyncClient", reporter: ProgressReporter) -> None:
        self._client = client
        self._reporter = reporter
        self._token = secrets.token_hex(16)
        self.opening = client.backup(token=self._token)

    def lines(self) -> Iterator[bytes]:
        """Yield every line of the backup, with its newline.

        Raises:
            CorruptError: what the daemon has is damaged, or was damaged on its way.
            CommandError: the daemon refused, or does not answer.
        """
        opening, writer = self.opening, BackupWriter()
        lifecycles = opening.lifecycles or {}
        header = BackupHeader(
            store_id=opening.store_id,
            seq=opening.seq,
            log_hash=opening.log_hash or "",
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            lifecycles=len(lifecycles),
        )
        try:
            yield writer.header(header)
            for name, definition in lifecycles.items():
                yield writer.lifecycle(name, bytes(definition))
            while writer.seq < opening.seq:
                for line in self._page(writer.seq).events:
                    yield writer.event(bytes(line))
                self._reporter.progress(writer.seq / opening.seq, seq=writer.seq)
            yield writer.end()
        except BackupError as error:
            message = f"the daemon's events are damaged after seq {writer.seq}: {error.reason}"
            raise CorruptError(message, suggestion="manifestctl verify") from error

    def _page(self, after_seq: int) -> BackupResult:
        opening = self.opening
        page = self._client.backup(token=self._token, after_seq=after_seq, upto_seq=opening.seq)
        if page.store_id != opening.store_id:
            message = f"the daemon serves another store now: {page.store_id}"
            raise CorruptError(message, suggestion="begin the backup anew")
        if not page.events:
            message = f"the daemon's events end at {after_seq}, before {opening.seq}"
            raise CorruptError(message, suggestion="manifestctl verify")
        return page
