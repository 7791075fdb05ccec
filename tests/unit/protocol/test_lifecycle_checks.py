"""What is said about a lifecycle, and what is not: the cases that are easily taken for others."""

import pytest

from protocol.lifecycle.checks import check_text

HEAD = 'id = "x"\nversion = 1\ninitial = "A"\n'
END = '\n[states.END]\ntype = "final"\n'


def said(body: str) -> list[str]:
    text = HEAD + "\n".join(line.strip() for line in body.splitlines()) + END
    return [finding.said() for finding in check_text(text, "x.toml")]


@pytest.mark.parametrize(
    "body",
    [
        # A way out may be a parent's, another region's, or the end of all regions.
        'states.A.states.B = {}\nstates.A.on.go = "END"',
        'states.A.type = "parallel"\nstates.A.states.R = {}\nstates.A.states.S.on.go = "END"',
        """
        [states.A]
        type = "parallel"
        onDone = "END"
        [states.A.states.R.states.R1.on]
        go = "R2"
        [states.A.states.R.states.R2]
        type = "final"
        [states.A.states.S.states.S1.on]
        go = "S2"
        [states.A.states.S.states.S2]
        type = "final"
        """,
        # The end of a parallel state inside another ends that one, too.
        """
        [states.A]
        type = "parallel"
        onDone = "END"
        [states.A.states.R]
        type = "parallel"
        [states.A.states.R.states.Q.states.Q1]
        always = "Q2"
        [states.A.states.R.states.Q.states.Q2]
        type = "final"
        """,
        # A listener instead of `onDone`, for one state or all.
        'states.A.on."done.state.A" = "END"\nstates.A.states.B.type = "final"',
        'states.A.on."done.state.*" = "END"\nstates.A.states.B.type = "final"',
        # A wildcard after the end was dealt with.
        """
        [states.A.on]
        "done.state.A" = "END"
        "*" = "A"
        [states.A.states.B]
        type = "final"
        """,
        # One of several events that are raised is one that nobody may send.
        """
        roles.tick = []
        [states.A]
        entry = [{ raise = "tick" }, { raise = "tock" }]
        on.tick = "END"
        on.tock = "END"
        """,
        # Candidates that others do not hide.
        """
        [states.A.on]
        "go.on" = "END"
        go = [{ target = "END", guard = "urn_free" }, { target = "A", guard = "reason_given" }]
        "*" = "A"
        """,
        'states.A.after."1d" = { actions = ["allow_revert"] }\nstates.A.after."2d" = "END"',
        'states.A.after."1d" = { target = "END", guard = "urn_free" }\nstates.A.after."2d" = "END"',
        # Steps that follow from one another, and come to an end.
        """
        [states.A]
        always = "B"
        [states.B]
        always = [{ target = "C", guard = "urn_free" }, { target = "END" }]
        [states.C.on]
        go = "A"
        """,
        'states.A.on.go = { actions = [{ raise = "gone" }] }\nstates.A.on.gone = "END"',
        """
        [states.A]
        always = { target = "B" }
        on.go = "END"
        [states.A.states.C.on]
        stop = "B"
        [states.A.states.B]
        always = "END"
        """,
        # Reached by history alone, by a default, or as a region.
        """
        [states.A.on]
        go = "H"
        [states.P.on]
        again = "B"
        end = "END"
        [states.P.states.B]
        [states.P.states.C]
        [states.P.states.H]
        type = "history"
        target = "C"
        """,
        """
        [states.A.on]
        go = { target = ["R2", "S2"] }
        [states.P]
        type = "parallel"
        on.end = "END"
        [states.P.states.R.states]
        R2 = {}
        [states.P.states.S.states]
        S2 = {}
        [states.P.states.T]
        """,
        # An event of roles may be a prefix, be heard by one, or be raised only.
        'roles.go = ["author"]\nstates.A.on."go.on" = "END"',
        'roles."go.on" = ["author"]\nstates.A.on.go = "END"',
        'roles."*" = ["author"]\nstates.A.on.go = "END"',
        'roles.go = ["author"]\nstates.A.on."*" = "END"',
        # A guard by name, in a guard, in a guard.
        """
        [guards]
        one = ["two", { not = "urn_free" }]
        two = { or = [{ in = "A" }, "reason_given"], because = "why?" }
        [states.A.on]
        go = { target = "END", guard = { not = { and = ["one"] } } }
        """,
        """
        [states.A.on]
        go = { target = "B", internal = true }
        end = "END"
        [states.A.states.B]
        """,
    ],
)
def test_nothing_is_said_about_what_makes_sense(body: str) -> None:
    assert said(body) == []


@pytest.mark.parametrize(
    ("body", "part"),
    [
        # An event that is raised goes to the state that is entered, not the one that is left.
        (
            """
            states.A.on.go = { target = "B", actions = [{ raise = "go" }] }
            states.B.on.go = { target = "A", actions = [{ raise = "go" }] }
            """,
            "A (go) -> B (go) -> A (go) runs for ever",
        ),
        (
            'states.A.on.go = { target = "A" }\nstates.A.entry = [{ raise = "go" }]',
            "A (go) -> A (go) runs for ever",
        ),
        (
            """
            states.A.on.go = { target = "B" }
            states.A.exit = [{ raise = "back" }]
            states.B.on.back = { target = "A" }
            states.B.exit = [{ raise = "go" }]
            """,
            "A (go) -> B (back) -> A (go) runs for ever",
        ),
        # Where `always` leads on, what was raised may find nobody: doubtful only.
        (
            """
            states.A.on.go = { target = "B", actions = [{ raise = "go" }] }
            states.B.always = "END"
            states.B.on.go = { target = "A", actions = [{ raise = "go" }] }
            """,
            "warning: A (go) -> B (go) -> A (go) may run without end",
        ),
        (
            """
            states.A.on.go = "H"
            states.P.states.B.always = "A"
            states.P.on.end = "END"
            states.P.states.H.type = "history"
            states.A.always = "H"
            """,
            "may run without end",
        ),
        # What is raised may be dealt with some steps later.
        (
            """
            states.A.on.go = { target = "B", actions = [{ raise = "go" }] }
            states.B.always = "A"
            """,
            "warning: A (go) -> B (always) -> A (go) may run without end",
        ),
        # A guard in the cycle: it may end.
        (
            """
            states.A.always = { target = "B" }
            states.B.always = { target = "A", guard = "urn_free" }
            states.B.on.go = "END"
            """,
            "warning: A (always) -> B (always) -> A (always) may run without end",
        ),
        ('states.A.states.B.always = "A"\nstates.A.on.go = "END"', "B (always) -> B (always) runs"),
        # Of what nothing leads to only the outermost.
        ('states.A.on.go = "END"\nstates.B.states.C.on.go = "A"', "nothing leads to 'B'"),
        # A way to oneself is no way out, and the end of a state none for those who do not end.
        ('states.A.states.B.on.go = "B"\nstates.A.onDone = "END"', "nothing leads out of 'B'"),
        # An end that nothing deals with before the wildcard, though other events are.
        (
            """
            [states.A.on]
            go = "END"
            "*" = "END"
            [states.A.states.B]
            on.go = "C"
            [states.A.states.C]
            type = "final"
            """,
            'on."*": warning: it also takes done.state.A',
        ),
        ('states.A.on."*" = "END"\nstates.A.on.go = "A"', 'never taken: on."*" stands before it'),
    ],
)
def test_what_makes_no_sense_is_said(body: str, part: str) -> None:
    assert any(part in line for line in said(body)), said(body)


def test_a_long_cycle_is_not_said_whole() -> None:
    body = "".join(f'states.S{n}.always = "S{(n + 1) % 50}"\n' for n in range(50))
    line = next(line for line in said('states.A.on.go = "S0"\n' + body) if "for ever" in line)

    assert "S5 (always) -> S6 (always) -> … -> S49 (always) -> S0 (always) runs" in line
