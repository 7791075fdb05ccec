"""Every bound that a client can run into, with its reason. Sizes in bytes unless named otherwise."""

from typing import Final

REQUEST_SIZE_MAX: Final = 1 << 20  # One request. A manifest of that size is somebody's mistake.
MESSAGE_SIZE_MAX: Final = 4 << 20  # libzmq closes a connection that sends a larger frame.
# Values in one request or document: numbers, texts, lists, objects. Every one costs microseconds in
# validators and guards, and a megabyte has room for half a million: seconds in which nobody else is
# served. The largest real manifests have two thousand.
VALUES_MAX: Final = 1 << 14
DEPTH_MAX: Final = 64  # Nesting of any JSON we read: recursion on hostile input has to end.
INTEGER_MAX: Final = (1 << 53) - 1  # RFC 8785 and RFC 7493: beyond it, numbers lose digits.

MANIFEST_ID_SIZE_MAX: Final = 512  # Characters. Ids are part of a topic and of a path.
TOKEN_SIZE_MAX: Final = 200  # Characters of a command id, correlation id or principal.
URN_SIZE_MAX: Final = 2048  # Characters. A percent-encoded name is up to twelve times as long.
TEXT_SIZE_MAX: Final = 4096  # Characters of a reason or a comment: a remark, not a document.
CONTEXT_SIZE_MAX: Final = 64 << 10  # Context rides in every event and stays in the snapshot.

PAGE_SIZE_DEFAULT: Final = 100  # Items in a page of list, history or feed.
PAGE_SIZE_MAX: Final = 1000  # Keeps the reply under the message size for ordinary events.
PAGE_BYTES_MAX: Final = 2 << 20  # A page ends here even when fewer items than asked for fit.
# Likewise, values in a page of events: who wants MessagePack gets it made from JSON in one go, and two
# megabytes of lists in lists took 0.4 s. A thousand transitions have about as many.
PAGE_VALUES_MAX: Final = 1 << 15

REMEMBERED_COMMANDS_MAX: Final = 256  # Per manifest, in its snapshot; older ones: events.log.
TIMERS_MAX: Final = 64  # Armed on one manifest at once; all are in each of its events.
CONTRIBUTORS_MAX: Final = 1000  # People who touched one manifest since its registration.
MAPPED_STATES_MAX: Final = 1000  # In one `migrate`: as many as a lifecycle has.
