"""Some calls have one home; some have none."""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.tidy.sources import Source, is_ours, is_test, python_files

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

DISK = "daemon/journal/disk.py"
CLIENT_DISK = "manifestctl/durable_file.py"  # The client may not import the daemon's.
SYNCS = {"fsync", "fdatasync", "syncfs", "sync_file_range"}
ZMQ_HOMES = ("daemon/transport/", "manifestctl/")
EVALUATORS = {"eval", "exec", "compile", "__import__"}
SLEEPS = {"time.sleep", "asyncio.sleep"}
BROAD = {"Exception", "BaseException"}
FILES_AND_CLOCKS = {
    *("open", "time.time", "time.monotonic", "time.time_ns", "time.monotonic_ns"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"),
}


def syncs_outside_the_disk_module(source: Source) -> Iterator[str]:
    """One module decides what durable means; everybody else asks it."""
    if not is_ours(source) or source.path in (DISK, CLIENT_DISK):
        return
    for node in source.nodes:
        match node:
            case ast.Attribute(attr=name) | ast.alias(name=name) if name in SYNCS:
                yield source.finding(node.lineno, f"{name} outside {DISK}")
            case ast.Call(func=ast.Name("getattr"), args=[_, ast.Constant(name), *_]) if (
                name in SYNCS
            ):
                yield source.finding(node.lineno, f"{name} outside {DISK}")
            case ast.Attribute(value=value, attr="sync") if source.dotted(value) == "os":
                yield source.finding(node.lineno, f"os.sync outside {DISK}")


def zmq_outside_transport_and_client(source: Source) -> Iterator[str]:
    """Sockets end where the transport ends: below it there are values."""
    if not is_ours(source) or source.path.startswith(ZMQ_HOMES):
        return
    for line, module in source.imports():
        if module.partition(".")[0] == "zmq":
            yield source.finding(line, f"zmq outside {' and '.join(ZMQ_HOMES)}")


def evaluated_text(source: Source) -> Iterator[str]:
    """Files bring data, never code."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            name = source.dotted(node.func)
            if name and name.removeprefix("builtins.") in EVALUATORS:
                yield source.finding(node.lineno, f"{name}()")


def sleeping_tests(source: Source) -> Iterator[str]:
    """Let a test wait for what it waits for: an event, a line, a reply."""
    if not is_test(source):
        return
    for node in source.nodes:
        if isinstance(node, ast.Call) and (name := source.dotted(node.func)) in SLEEPS:
            yield source.finding(node.lineno, f"{name}() in a test")


def swallowed_exceptions(source: Source) -> Iterator[str]:
    """Who catches everything says so: by raising again, or with `log.exception`."""
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(kind is None or source.dotted(kind) in BROAD for kind in caught)
        if broad and not any(map(_tells, ast.walk(node))):
            yield source.finding(node.lineno, "a broad except that neither raises nor logs")


def _tells(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.Call(func=ast.Attribute(attr="exception")):
            return True
    return False


def files_and_clocks_below_the_daemon(source: Source) -> Iterator[str]:
    """`protocol` and `actors` are handed bytes and times; import-linter cannot see these calls."""
    if not source.path.startswith(("protocol/", "actors/")):
        return
    for node in source.nodes:
        if isinstance(node, ast.Call) and (name := source.dotted(node.func)) in FILES_AND_CLOCKS:
            yield source.finding(node.lineno, f"{name}() outside daemon/")


Check = Callable[[Source], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    syncs_outside_the_disk_module,
    zmq_outside_transport_and_client,
    evaluated_text,
    sleeping_tests,
    swallowed_exceptions,
    files_and_clocks_below_the_daemon,
)

BAD: list[tuple[Check, str, str]] = [
    (syncs_outside_the_disk_module, "daemon/archive.py", "import os\nos.fsync(3)"),
    (syncs_outside_the_disk_module, "daemon/archive.py", "from os import fdatasync as f"),
    (syncs_outside_the_disk_module, "daemon/archive.py", "libc.syncfs(3)"),
    (syncs_outside_the_disk_module, "daemon/archive.py", "getattr(libc, 'syncfs')(3)"),
    (syncs_outside_the_disk_module, "daemon/archive.py", "import os as o\no.sync()"),
    (zmq_outside_transport_and_client, "daemon/application.py", "import zmq"),
    (zmq_outside_transport_and_client, "actors/mailbox.py", "from zmq.asyncio import Context"),
    (evaluated_text, "protocol/guards.py", "eval('1')"),
    (evaluated_text, "tests/unit/test_x.py", "import builtins\nbuiltins.exec('x = 1')"),
    (sleeping_tests, "tests/unit/test_x.py", "import time\ntime.sleep(1)"),
    (sleeping_tests, "tests/unit/test_x.py", "from time import sleep as wait\nwait(1)"),
    (sleeping_tests, "tests/unit/test_x.py", "import asyncio\nawait asyncio.sleep(0)"),
    (swallowed_exceptions, "actors/actor.py", "try:\n f()\nexcept Exception:\n pass"),
    (swallowed_exceptions, "actors/actor.py", "try:\n f()\nexcept:\n log.error('x')"),
    (swallowed_exceptions, "a.py", "try:\n f()\nexcept (OSError, BaseException):\n pass"),
    (files_and_clocks_below_the_daemon, "protocol/codec.py", "open('x')"),
    (
        files_and_clocks_below_the_daemon,
        "actors/actor.py",
        "from datetime import datetime\ndatetime.now()",
    ),
]

GOOD: list[tuple[Check, str, str]] = [
    (syncs_outside_the_disk_module, DISK, "import os\nos.fsync(3)"),
    (syncs_outside_the_disk_module, "daemon/archive.py", "await file.sync()"),
    (zmq_outside_transport_and_client, "daemon/transport/router.py", "import zmq"),
    (evaluated_text, "protocol/guards.py", "import re\nre.compile('x')"),
    (sleeping_tests, "daemon/backoff.py", "import asyncio\nasyncio.sleep(1)"),
    (swallowed_exceptions, "a.py", "try:\n f()\nexcept Exception:\n raise"),
    (swallowed_exceptions, "a.py", "try:\n f()\nexcept Exception:\n log.exception('x')"),
    (swallowed_exceptions, "a.py", "try:\n f()\nexcept OSError:\n pass"),
    (files_and_clocks_below_the_daemon, "daemon/clock.py", "import time\ntime.time()"),
]


@pytest.fixture(scope="module")
def findings() -> dict[Check, list[str]]:
    """Return what each check finds: all look at a file while its tree is there."""
    found: dict[Check, list[str]] = {check: [] for check in CHECKS}
    for source in python_files():
        for check in CHECKS:
            found[check] += check(source)
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_project_makes_no_banned_call(check: Check, findings: dict[Check, list[str]]) -> None:
    assert not findings[check], "\n".join([str(check.__doc__), *findings[check]])


@pytest.mark.parametrize(("check", "path", "text"), BAD)
def test_the_check_finds_what_it_is_for(check: Check, path: str, text: str) -> None:
    assert list(check(Source(path, text)))


@pytest.mark.parametrize(("check", "path", "text"), GOOD)
def test_the_check_leaves_good_code_alone(check: Check, path: str, text: str) -> None:
    assert not list(check(Source(path, text)))
