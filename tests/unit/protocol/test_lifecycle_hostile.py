"""A lifecycle file may hold anything: it is refused within bounded time and memory, and never run.

The bounds here are loose, for a busy machine: what they have to tell apart are seconds and hours.
"""

import ast
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import pytest

from protocol.lifecycle.checks import check_text
from protocol.lifecycle.findings import FINDINGS_MAX
from protocol.lifecycle.reader import FILE_SIZE_MAX

pytestmark = (
    pytest.mark.no_cover
)  # What it runs is covered elsewhere; measured, it takes many times as long.

SECONDS_MAX = 20  # Of CPU; the dearest takes three at the full size.
QUARTER = FILE_SIZE_MAX // 4  # What takes an hour at the full size takes minutes at this one.
MEMORY_MAX = 128 << 20
HEAD = 'id = "x"\nversion = 1\ninitial = "A"\n'
END = '[states.END]\ntype = "final"\n'


def states(count: int, body: str = "") -> str:
    return "".join(
        f"[states.S{number}]\n{body.format(number, number + 1)}" for number in range(count)
    )


def nested(depth: int) -> str:
    """Return states in states; each header names all its parents."""
    path = "states.A"
    text = ""
    for level in range(depth):
        text += f"[{path}]\n"
        path += f".states.S{level}"
    return HEAD + text


def matching(number: int) -> str:
    """Return an expression whose pattern takes as long to compile as any may."""
    return rf'manifest.name.matches("^\\w{{13}}{number}$")'


def hostile(size_bytes: int) -> Iterator[tuple[str, str | bytes, str]]:
    """Yield the name of a file, what is in it, and what is said about it."""
    full = size_bytes - 200
    yield "huge.toml", b"#" * (10 << 20), "larger than 1048576 bytes"
    yield "huge.json", "[" * (10 << 20), "larger than 1048576 bytes"
    yield "many-bytes.toml", "ä" * (size_bytes - 1), "no TOML"
    yield "deep.toml", "a = " + "[" * full, "more than 64 tables and lists are nested"
    yield "deep-tables.toml", "a = " + "{a = " * (full // 5), "more than 64 tables"
    yield "deep-key.toml", "a." * (full // 2) + "a = 1", "more than 64 tables"
    yield "deep-header.toml", "[" + "a." * (full // 2) + "a]", "more than 64 tables"
    yield "deep.json", "[" * full, "nested too deep"
    yield "deep-objects.json", '{"a":' * (full // 5), "nested too deep"
    yield "deep-and-right.json", "[" * 500 + "]" * 500, "more than 64 tables and lists"
    yield "deep-states.toml", nested(17), "states nest at most 16 deep"
    yield "deeper-states.toml", nested(40), "more than 64 tables"
    yield "many-states.toml", HEAD + states(10_000), "at most 999 states"
    yield (
        "states.toml",
        HEAD + "".join(f"states.S{n}={{}}\n" for n in range(50_001)),
        "50000 values",
    )
    members = ",".join(f'"s{n}":{{}}' for n in range(50_001))
    yield "states.json", f'{{"states":{{{members}}}}}', "more than 50000 values"
    yield "twice.json", '{"states":{' + '"a":{},' * (full // 8) + '"a":{}}}', "stands there twice"
    yield "array.toml", HEAD + "tags = [" + "1," * (full // 2) + "]", "more than 50000 values"
    yield "array.json", "[" + "[]," * (full // 3) + "[]]", "more than 50000 values"
    yield "tables.toml", "[[a]]\n" * max(full // 6, 50_001), "more than 50000 values"
    yield "long-key.toml", HEAD + "k" * full + " = 1", f"there is no key {'k' * 80!r}… ("
    yield "long-name.toml", HEAD + f"[states.{'k' * full}]", f"{'k' * 80!r}… ("
    yield "long-text.toml", HEAD + f'description = "{"d" * full}"', "it may have 1 to 4096"
    yield "long-delay.toml", HEAD + f'states.A.after.{"1" * full} = "A"', "cannot be waited for"
    yield "long-number.toml", HEAD + f"version = {'1' * full}", "this is no TOML"
    yield "quotes.toml", '"' * full, "this is no TOML"
    yield "escapes.toml", 'a = "' + "\\" * full, "this is no TOML"
    yield "apostrophes.toml", "a = '''" + "''\n" * (full // 3), "this is no TOML"
    yield "blanks.toml", " " * full + "x", "this is no TOML"
    yield "comments.toml", "#\n" * (full // 2) + "x", "this is no TOML"
    yield "wrong.toml", "".join(f"w{n} = 1\n" for n in range(full // 21)), "more than 100 mistakes"
    yield "nul.toml", b"id = 'x'\n" + b"\0" * full, "there is a NUL byte"
    yield "yaml.toml", "id: x\nstates:\n  - A\n", "it looks like YAML"
    yield "bomb.yaml", "a: &a [x]\nb: [*a, *a]", "YAML is not read"


def chains() -> Iterator[tuple[str, str | bytes, str]]:
    """Yield files that are right in shape, and costly to think about."""
    unknown = "".join(f'"e{n}" = "S{n}x"\n' for n in range(5000))
    yield "unknown.toml", HEAD + states(900) + "[states.A.on]\n" + unknown, "there is no state"
    chain = states(900, 'always = "S{1}"\n')
    yield (
        "chain.toml",
        HEAD + 'states.A.always = "S0"\n' + chain + '[states.S900]\nalways="S0"',
        "for ever",
    )
    selfish = states(900, 'always = "S{0}"\n')
    yield "loops.toml", HEAD + "[states.A]\n" + selfish, "runs for ever"
    ping = states(900, 'on.ping = {{ target = "S{1}", actions = [{{ raise = "ping" }}] }}\n')
    yield (
        "ping.toml",
        HEAD + "[states.A]\n" + ping + '[states.S900]\non.ping = "A"',
        "nothing leads",
    )
    regions = "".join(f"[states.P.states.R{n}.states.Q{n}]\n" for n in range(450))
    moves = "".join(f'"e{n}" = "Q{n % 450}"\n' for n in range(5000))
    parallel = '[states.P]\ntype = "parallel"\n[states.P.on]\n' + moves + regions
    yield "regions.toml", HEAD + '[states.A]\non.go = "P"\n' + parallel, "450 states in it could be"
    regions = "".join(f"[states.P.states.R{n % 60}.states.Q{n}]\n" for n in range(450))
    parallel = '[states.P]\ntype = "parallel"\n[states.P.on]\n' + moves + regions
    yield "wide.toml", HEAD + '[states.A]\non.go = "P"\n' + parallel, "warning"
    raising = "".join(
        f'[states.P.states.R{n % 60}.states.Q{n}.on.e{n}]\nactions = [{{ raise = "e{n + 1}" }}]\n'
        for n in range(450)
    )
    text = HEAD + '[states.A]\non.go = "P"\n[states.P]\ntype = "parallel"\n' + raising
    yield "raising.toml", text, "warning"
    yield "circling.toml", text.replace('"e450"', '"e0"'), "may run without end"
    pairs = ", ".join(f'"Q{n}"' for n in range(450))
    text = HEAD + f"[states.A]\non.go = {{ target = [{pairs}] }}\n" + parallel
    yield "pairs.toml", text, "at most 32 targets"
    many = "".join(f"e{n} = {{}}\n" for n in range(10_001))
    yield "many.toml", HEAD + "[states.A.on]\n" + many, "at most 10000 transitions"
    guards = "".join(f'g{n} = ["g{n + 1}"]\n' for n in range(9000))
    text = HEAD + f'[guards]\n{guards}g9000 = "urn_free"\n[states.A]\nalways = {{ guard = "g0" }}\n'
    yield "guards.toml", text, "deep"
    dear = "".join(f"e{n} = {{ guard = {{ cel = {matching(n)!r} }} }}\n" for n in range(500))
    yield "dear.toml", HEAD + f"[states.A.on]\n{dear}", "more than 100 times 'matches'"
    dear = "".join(f"e{n} = {{ guard = {{ cel = {matching(n)!r} }} }}\n" for n in range(100))
    yield "still-dear.toml", HEAD + f"[states.A.on]\n{dear}", "nothing leads out of 'A'"
    laughs = "".join(f'g{n} = ["g{n + 1}", "g{n + 1}"]\n' for n in range(40))
    text = HEAD + f'[guards]\n{laughs}g40 = "urn_free"\n[states.A]\nalways = {{ guard = "g0" }}\n'
    yield "laughs.toml", text, "deep"
    timers = "".join(f'{n}s = "END"\n' for n in range(1, 9000))
    yield "timers.toml", HEAD + f"[states.A.after]\n{timers}{END}", "never taken"


# Others of the same sort are there, which cost more or as much.
LONG = {"states.toml", "raising.toml", "wide.toml", "pairs.toml"}
CASES = [*hostile(QUARTER), *chains()]
ALL = [*hostile(FILE_SIZE_MAX), *chains()]
LARGE = [case for case in ALL if case[0] in {"array.json", "states.json", "pairs.toml"}]
Case = tuple[str, str | bytes, str]


def named(
    cases: Sequence[Case], *, short: Callable[[str], bool] = lambda _: True
) -> list[pytest.ParameterSet]:
    """Return `cases` as parameters; those whose name is not `short` are for the long run."""
    return [
        pytest.param(*case, id=case[0], marks=() if short(case[0]) else pytest.mark.long)
        for case in cases
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"), named(CASES, short=lambda name: name not in LONG)
)
def test_it_is_refused_or_told_in_bounded_time(name: str, text: str | bytes, said: str) -> None:
    check_in_bounded_time(name, text, said)


@pytest.mark.long
@pytest.mark.parametrize(("name", "text", "said"), named(ALL))
def test_the_largest_is_refused_or_told_in_bounded_time(
    name: str, text: str | bytes, said: str
) -> None:
    check_in_bounded_time(name, text, said)


def check_in_bounded_time(name: str, text: str | bytes, said: str) -> None:
    """See that a file is read within the bound, and that what is said about it is short."""
    started = time.process_time()
    findings = check_text(text, name)
    seconds = time.process_time() - started

    told = "\n".join(finding.said(name) for finding in findings)
    assert said in told, told[:1000]
    assert len(findings) <= 2 * FINDINGS_MAX + 1
    assert all(len(line) < 2000 for line in told.splitlines())
    assert seconds < SECONDS_MAX


@pytest.mark.parametrize(
    ("name", "text", "said"), named(LARGE, short=lambda name: name != "states.json")
)
def test_it_takes_bounded_memory(name: str, text: str | bytes, said: str) -> None:
    tracemalloc.start()
    try:
        findings = check_text(text, name)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert any(said in finding.message for finding in findings)
    assert memory < MEMORY_MAX


PYTHON = (
    "__import__('os').mkdir('/tmp/evaluated')",
    "().__class__.__bases__[0].__subclasses__()",
    "{0.__class__}",
    "%(x)s",
    "$(touch x)",
    "exec('x')",
    "lambda: 0",
)


class Watch:
    """Notes what the interpreter is made to run; an audit hook stays, so it is told when to look."""

    def __init__(self) -> None:
        self.is_on = False
        self.noted: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, _: object) -> None:
        if self.is_on and event in {"exec", "compile", "import", "os.system", "os.mkdir", "open"}:
            self.noted.append(event)

    def __enter__(self) -> Self:
        self.is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_on = False


WATCH = Watch()


@pytest.mark.parametrize("code", PYTHON)
def test_no_text_of_a_file_is_ever_run(code: str) -> None:
    places = [
        f'states.A.on.go = {{ target = "A", guard = """{code}""" }}',
        f'states.A.on.go = {{ target = "A", guard = {{ cel = """{code}""" }} }}',
        f'states.A.entry = ["""{code}"""]',
        f'states.A.entry = [{{ assign = {{ a = """{code}""" }} }}]',
        f'description = """{code}"""',
        f'guards.mine = """{code}"""',
        f'roles.go = ["""{code}"""]',
        f'states.A.after."{code}" = "A"',
        f'"{code}" = 1',
        f'states."{code}" = {{}}',
    ]
    for place in places:
        text = HEAD + place + "\n"
        first = check_text(text, "x.toml")  # What is compiled once for all, a pattern, is by now.
        with WATCH as watch:
            assert check_text(text, "x.toml") == first
        assert not watch.noted


def test_the_watch_sees_what_is_run() -> None:
    watch = Watch()
    with watch:
        ast.parse("1")
    assert watch.noted == ["compile"]
