"""`manifestd`: flags in, exit status out (0, 2, 70, 74, 75, 78; design 4).

Without a command it is the daemon; the commands are in `daemon/offline/`.
"""

import argparse
import asyncio
import gc
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from daemon.errors import ConfigurationError, DaemonError, DiskFailedError
from daemon.offline import COMMANDS, run_command
from daemon.packaging import ForeignPackageError, verify_packages
from protocol.errors import did_you_mean

if TYPE_CHECKING:
    from daemon.configuration import Configuration

log: Final = logging.getLogger("manifestd")

CONFIGURATION_STATUS: Final = 78
COLLECT_AFTER: Final = 50_000  # New objects; looking through them takes some milliseconds.
INTERRUPTED_STATUS: Final = 130  # 128 + SIGINT, as a shell says it.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `manifestd` and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    if arguments and not arguments[0].startswith("-"):
        _check_command(arguments[0], parser)
        return _guarded(lambda: run_command(arguments[0], arguments[1:]), has_threads=False)
    options = parser.parse_args(arguments)
    return _guarded(lambda: _daemon(options), has_threads=True)


def _guarded(work: Callable[[], int], *, has_threads: bool) -> int:
    """Return the exit status of `work`; errors become a message and theirs."""
    try:
        verify_packages()
    except ForeignPackageError as error:
        print(f"manifestd: {error}", file=sys.stderr)
        return CONFIGURATION_STATUS
    try:
        return work()
    except KeyboardInterrupt:  # Before the daemon listens to signals; nothing is open yet.
        return INTERRUPTED_STATUS
    except DaemonError as error:
        print(f"manifestd: {error}", file=sys.stderr, flush=True)
        if has_threads and isinstance(error, DiskFailedError):
            # The journal's thread may hang in the system call that failed: do not wait for it.
            os._exit(error.exit_status)
        return error.exit_status


def _daemon(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        configuration = _configure(options, stack)
        _check_endpoints(configuration)
        if options.check_config:
            return _check(configuration, options)
        return _run(configuration, options)


def _check_command(name: str, parser: argparse.ArgumentParser) -> None:
    """End with usage and status 2 unless there is a command `name`."""
    if name not in COMMANDS:
        near = did_you_mean(name, list(COMMANDS))
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(COMMANDS)}"
        parser.error(f"there is no command {name!r}; {hint}")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    commands = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="manifestd",
        usage="%(prog)s [options]\n       %(prog)s COMMAND --data-dir DIR [options]",
        description="Takes agent manifests through their lifecycle, one actor per manifest.",
        epilog="\n".join(
            [
                "commands, for a store that no daemon has open (manifestd COMMAND --help):",
                *commands,
                "",
                "To try it: manifestd --dev",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", type=_path, help="manifestd.toml")
    parser.add_argument("--data-dir", metavar="DIR", type=_path, help="where everything is kept")
    parser.add_argument(
        "--commands", metavar="ENDPOINT", action="append", help="ROUTER, may be repeated"
    )
    parser.add_argument(
        "--events", metavar="ENDPOINT", action="append", help="PUB, may be repeated"
    )
    parser.add_argument(
        "--check-config", action="store_true", help="check the configuration and exit"
    )
    parser.add_argument(
        "--dev",
        action="store_true",
        help="for trying out: own endpoints, a temporary store, every peer has all roles",
    )
    return parser


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a path is not empty")
    return Path(text)


def _configure(options: argparse.Namespace, stack: ExitStack) -> "Configuration":
    """Return the configuration with the flags on top; `stack` holds what ends with the process."""
    from daemon.configuration import load_configuration  # noqa: PLC0415 (after the check above)
    from protocol.endpoints import COMMANDS, EVENTS, dev_directory, ipc_endpoint  # noqa: PLC0415

    configuration = load_configuration(options.config, os.environ)
    daemon = configuration.daemon
    if options.dev:
        if options.data_dir is None:
            daemon.data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="manifestd-"))
        folder = dev_directory(os.environ, os.getuid(), tempfile.gettempdir())
        if options.commands is None or options.events is None:
            _make_private(Path(folder))
        daemon.commands = [ipc_endpoint(folder, COMMANDS)]
        daemon.events = [ipc_endpoint(folder, EVENTS)]
    if options.data_dir is not None:
        daemon.data_dir = str(options.data_dir.absolute())
    daemon.commands = options.commands or daemon.commands
    daemon.events = options.events or daemon.events
    return configuration


def _make_private(folder: Path) -> None:
    """Make the folder of the dev sockets; nobody else may own it or look into it."""
    way_out = "set XDG_RUNTIME_DIR, or give --commands and --events"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            message = f"{folder} is no folder of yours; {way_out}"
            raise ConfigurationError(message)
        folder.chmod(0o700)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}; {way_out}"
        raise ConfigurationError(message) from error


def _check(configuration: "Configuration", options: argparse.Namespace) -> int:
    from daemon.configuration import impersonators  # noqa: PLC0415
    from daemon.rulebook import load_rules  # noqa: PLC0415

    with _naming(options.config):
        rules = load_rules(configuration, _base(options), dev=options.dev)
        impersonators(configuration)
    print(
        f"the configuration is fine; kinds: {', '.join(rules.kinds.names())}; "
        f"lifecycles: {', '.join(rules.lifecycles.names())}"
    )
    return 0


def _check_endpoints(configuration: "Configuration") -> None:
    from daemon.transport.sockets import check_endpoint  # noqa: PLC0415

    seen = set()
    for endpoint in (*configuration.daemon.commands, *configuration.daemon.events):
        check_endpoint(endpoint)
        if endpoint in seen:
            message = f"{endpoint} is given twice; every endpoint is one socket's"
            raise ConfigurationError(message)
        seen.add(endpoint)


@contextmanager
def _naming(file: Path | None) -> Iterator[None]:
    """Put the file's name before what is wrong with its values."""
    try:
        yield
    except ConfigurationError as error:
        message = f"{file or 'the configuration'}: {error}"
        raise ConfigurationError(message) from error


def _base(options: argparse.Namespace) -> Path:
    return Path.cwd() if options.config is None else options.config.absolute().parent


def _run(configuration: "Configuration", options: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415 (not for --help and --check-config)

    from daemon.application import Application  # noqa: PLC0415
    from daemon.readiness import ServiceManager  # noqa: PLC0415

    logging.basicConfig(
        level=configuration.daemon.log_level.upper(),
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )

    def greet() -> None:
        if options.dev:
            _greet(configuration, temporary=options.data_dir is None)

    _tune_collector()

    async def serve() -> int:
        with _naming(options.config):
            application = Application(
                configuration,
                base=_base(options),
                dev=options.dev,
                manager=ServiceManager(os.environ),
                on_ready=greet,
            )
        return await application.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _tune_collector() -> None:
    """Let Python look for cycles less often: a command leaves none, and its objects are many.

    With the default of 700 new objects the search took an eighth of the CPU of a loaded daemon.
    """
    gc.collect()
    gc.freeze()  # What is imported stays for good.
    gc.set_threshold(COLLECT_AFTER, 20, 100)


def _greet(configuration: "Configuration", *, temporary: bool) -> None:
    daemon = configuration.daemon
    kept = "removed when it ends" if temporary else "kept"
    print(f"manifestd --dev   for trying out: everybody may do everything; store: {kept}")
    print(f"  store     {daemon.data_dir}")
    print(f"  commands  {' '.join(daemon.commands)}")
    print(f"  events    {' '.join(daemon.events)}")
    print("In another terminal:")
    print("  manifestctl watch")
    print("and in a third one:")
    print("""  echo '{"name": "echo", "version": "1.0.0"}' | manifestctl create - --kind agent""")
    print("  manifestctl submit echo@1.0.0", flush=True)
