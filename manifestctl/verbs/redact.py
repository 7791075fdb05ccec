"""`redact`: personal data leaves one version of a manifest, and every file of the store."""

import time
from argparse import ArgumentParser
from typing import Final

from manifestctl.arguments import Verb, add_manifest_id, count
from manifestctl.session import Session
from manifestctl.verbs.write import show_result

FIELDS: Final = ("reason", "context", "document", "all")
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 10.0  # Then the daemon is left to it; it says how far it is by `status`.


def _add_redact(parser: ArgumentParser) -> None:
    add_manifest_id(parser)
    parser.add_argument(
        "--version", type=count, required=True, metavar="N", help="of which event (see history)"
    )
    parser.add_argument(
        "--field", choices=FIELDS, default="all", help="what of its payload; default: all of it"
    )
    parser.add_argument(
        "-m", "--reason", required=True, metavar="WHY", help="why; it is recorded, so name nobody"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also the document that the manifest, or what lookup finds, stands on",
    )


def _redact(session: Session) -> int:
    arguments = session.arguments
    result = session.client.redact(
        arguments.manifest_id,
        version=arguments.version,
        field=arguments.field,
        reason=arguments.reason,
        force=arguments.force,
        **session.write_options(),
    )
    done = None
    if result.dry_run is not True:
        done = "gone from every file" if _is_gone(session) else "being removed: see status"
    return show_result(session, result, done)


def _is_gone(session: Session) -> bool:
    """Wait until the daemon has nothing left to remove; False when that takes long."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while session.client.status().redactions_pending:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


_EXAMPLES: Final = """\
  manifestctl history io.github.acme/echo@1.0.0                    # which version holds it?
  manifestctl redact io.github.acme/echo@1.0.0 --version 3 --field reason -m "request 2026-17"
  manifestctl redact io.github.acme/echo@1.0.0 --version 1 -m "request 2026-17" --dry-run

What was redacted does not come back. Backups, and whoever has read it, keep it.
"""

VERBS: Final = {"redact": Verb(_add_redact, _redact, _EXAMPLES, writes=True)}
