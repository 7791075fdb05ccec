"""`manifestd fsck`."""

from daemon.offline.arguments import offline_parser


def run(arguments: list[str]) -> int:
    """Run it; return the exit status."""
    parser = offline_parser("fsck", "Check a store.", ["manifestd fsck --data-dir DIR"])
    parser.parse_args(arguments)
    return 0
