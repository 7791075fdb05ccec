"""A process that connects as fast as it can, and again when it is hung up on or refused.

python -m tests.support.connection_flood PATH SECONDS
"""

import resource
import socket
import sys
import time
from typing import Final

PROGRAM: Final = ("-m", "tests.support.connection_flood")
SPARED: Final = 100  # Descriptors that are not used for connections.


def flood(path: str, duration_s: float) -> int:
    """Connect to `path`, and return how often that succeeded."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    made = 0
    ends_s = time.monotonic() + duration_s
    while time.monotonic() < ends_s:
        if len(held) >= hard - SPARED:
            held.pop(0).close()
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(0)
        try:
            one.connect(path)
        except OSError:  # Refused, or a full backlog.
            one.close()
        else:
            held.append(one)
            made += 1
    return made


if __name__ == "__main__":
    print(flood(sys.argv[1], float(sys.argv[2])))  # noqa: T201
