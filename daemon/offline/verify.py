"""`manifestd verify`."""

from daemon.offline.arguments import offline_parser


def run(arguments: list[str]) -> int:
    """Run it; return the exit status."""
    parser = offline_parser("verify", "Check a store.", ["manifestd verify --data-dir DIR"])
    parser.parse_args(arguments)
    return 0
