"""`manifestd import FILE --data-dir DIR`: a store from `manifestctl export --history`.

It takes whole histories only, and takes them byte for byte: `seq`, hashes, command ids, timers.
"""

from daemon.offline.arguments import offline_parser
from daemon.offline.restore import add_progress, restore_from, show
from daemon.offline.restoring import Until


def run(arguments: list[str]) -> int:
    """Run `manifestd import`; return the exit status."""
    parser = offline_parser(
        "import",
        "Make a store of exported events, in a directory that is empty or does not exist.",
        (
            "manifestctl export --history > events.ndjson",
            "manifestd import events.ndjson --data-dir DIR",
            "ssh old manifestctl export --history | manifestd import - --data-dir DIR",
        ),
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the lines of `manifestctl export --history`; - is standard input",
    )
    add_progress(parser)
    options = parser.parse_args(arguments)
    restored = restore_from(
        options, operation="import", until=Until(), needs_header=False, keep_store_id=False
    )
    show(options.data_dir, restored)
    return 0
