"""What `manifestctl lifecycle check` says about a file: errors, and what is doubtful.

Promise:  a lifecycle without errors compiles, and each of its names exists. All findings together,
          in the file's order; a bounded number, in bounded time.
Not here: the shape of a file (`members.py`), which is looked at first.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Literal

from protocol.lifecycle import analysis, guard_checks, structure, vocabulary
from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.findings import FINDINGS_MAX, Finding, LifecycleError
from protocol.lifecycle.outline import Outline
from protocol.lifecycle.places import Places, dotted
from protocol.lifecycle.reader import Syntax, read_source
from protocol.lifecycle.runaways import runaways
from protocol.lifecycle.structure import Doubt

_DOUBTFUL: Final[tuple[Callable[[Outline], Iterator[Doubt]], ...]] = (
    analysis.unreachable,
    analysis.traps,
    analysis.hidden_candidates,
    analysis.never_done,
    analysis.greedy_wildcards,
    guard_checks.unused_guards,
    guard_checks.misspelt_roles,
    *vocabulary.WARNINGS,
)


def check(definition: LifecycleDefinition, places: Places | None = None) -> list[Finding]:
    """Return what is wrong with `definition` and what is doubtful, in the file's order.

    What the chart can and cannot do is told only when its states fit together.
    """
    outline, places = Outline(definition), places or Places()
    errors = _found(outline, structure.STRUCTURE)
    fits = not errors
    costly = _found(outline, (guard_checks.too_many_patterns,))
    errors += costly or _found(outline, (guard_checks.guards, guard_checks.assignments))
    errors += _found(outline, vocabulary.ERRORS)
    doubts: list[Doubt] = []
    if fits:
        endless = runaways(outline)
        errors += [(one.path, one.message) for one in endless if one.is_endless]
        doubts = [(one.path, one.message) for one in endless if not one.is_endless]
        doubts += _found(outline, _DOUBTFUL)
    findings = [
        *_findings(errors, places, "error"),
        *_findings(doubts, places, "warning"),
    ]
    return sorted(findings, key=lambda finding: finding.line or 0)


def check_text(text: str | bytes, name: str, *, syntax: Syntax | None = None) -> list[Finding]:
    """Return all findings about a lifecycle file, also those that keep it from being read."""
    try:
        source = read_source(text, name, syntax=syntax)
    except LifecycleError as error:
        return error.findings
    return check(source.definition, source.places)


def read_checked(
    text: str | bytes, name: str, *, syntax: Syntax | None = None
) -> tuple[LifecycleDefinition, list[Finding]]:
    """Return the definition in a lifecycle file, and the warnings about it.

    Raises:
        LifecycleError: the file has errors: all of them.
    """
    source = read_source(text, name, syntax=syntax)
    findings = check(source.definition, source.places)
    refuse_errors(name, findings)
    return source.definition, findings


def refuse_errors(name: str, findings: Iterable[Finding]) -> None:
    """Raise `LifecycleError` with those of `findings` that are errors, if any is."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise LifecycleError(name, errors)


def _found(
    outline: Outline, questions: Iterable[Callable[[Outline], Iterator[Doubt]]]
) -> list[Doubt]:
    """Return the first answers to `questions`."""
    return list(islice((doubt for ask in questions for doubt in ask(outline)), FINDINGS_MAX))


def _findings(
    doubts: Iterable[Doubt], places: Places, severity: Literal["error", "warning"]
) -> Iterator[Finding]:
    for path, message in islice(doubts, FINDINGS_MAX):
        yield Finding(dotted(path), places.line(path), message, severity)
