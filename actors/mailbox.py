"""A bounded queue of commands that wait for their actor."""

from collections import deque
from typing import Final, Generic, TypeVar

from protocol.errors import OverloadedError

MAILBOX_SIZE_MAX: Final = 256  # Commands on one manifest; more means a client gone wild.
RETRY_AFTER_MS: Final = 50  # About the time in which a full mailbox is worked off.

Letter = TypeVar("Letter")


class Mailbox(Generic[Letter]):
    """First in, first out, at most `size_max` letters."""

    __slots__ = ("_letters", "_name", "_size_max")

    def __init__(self, name: str, size_max: int = MAILBOX_SIZE_MAX) -> None:
        self._name = name
        self._size_max = size_max
        self._letters: deque[Letter] = deque()

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> None:
        """Queue `letter`; `OverloadedError` when the mailbox is full."""
        if len(self._letters) >= self._size_max:
            what = f"the mailbox of {self._name}"
            raise OverloadedError.full(what, limit=self._size_max, retry_after_ms=RETRY_AFTER_MS)
        self._letters.append(letter)

    def put_first(self, letter: Letter) -> None:
        """Queue `letter` before all others, also where there is no room: for what is rare."""
        self._letters.appendleft(letter)

    def take(self) -> Letter:
        """Return the oldest letter; there must be one."""
        return self._letters.popleft()
