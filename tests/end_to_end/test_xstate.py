"""An exported lifecycle goes through the same states in XState itself."""

import json
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.guards import BUILT_INS, And, Cel, GuardForm, Not, Or
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.xstate_export import export_xstate
from protocol.record import ACTIONS
from protocol.statechart.compiled import Transition
from protocol.statechart.kernel import start, step
from tests.support.node_packages import node_folder

RUNNER = """\
import { createActor, createMachine, enqueueActions } from "xstate";
const [machine, events, actionNames, guardNames] = JSON.parse(process.argv[2]);
const raised = enqueueActions(({ enqueue }, params) => enqueue.raise({ type: params.event }));
const actions = Object.fromEntries(actionNames.map((name) => [name, () => {}]));
const holds = ({ type, params }) =>
  type === "cel" ? false
  : type === "and" ? params.guards.every(holds)
  : type === "or" ? params.guards.some(holds)
  : type === "not" ? !holds(params.guard)
  : true;
const guards = Object.fromEntries(
  guardNames.map((type) => [type, (_, params) => holds({ type, params })])
);
const provided = createMachine(machine).provide({ actions: { ...actions, raise: raised }, guards });
const actor = createActor(provided).start();
const leaves = () =>
  actor.getSnapshot()._nodes
    .filter((node) => node.type === "atomic" || node.type === "final")
    .map((node) => node.key).sort();
const seen = [leaves()];
for (const type of events) {
  actor.send({ type });
  seen.push(leaves());
}
console.log(JSON.stringify(seen));
actor.stop();
"""
BOTH = """\
id = "both"
version = 1
initial = "OUT"
[states.OUT.on]
enter = "IN"
resume = "LAST"
skip = { target = ["L2", "S2"] }
[states.IN]
type = "parallel"
onDone = "DONE"
[states.IN.on]
leave = "OUT"
again = "IN"
[states.IN.states.LAST]
type = "history"
history = "deep"
[states.IN.states.LEGAL]
initial = "L1"
[states.IN.states.LEGAL.on.back]
target = "L1"
internal = true
[states.IN.states.LEGAL.states.L1.on.legal]
target = "L2"
actions = [{ raise = "heard" }]
[states.IN.states.LEGAL.states.L2]
on.undo = "L1"
[[states.IN.states.LEGAL.states.L2.always]]
target = "L1"
guard = "1 == 2"
[states.IN.states.LEGAL.states.L2.on.end]
target = "L3"
[states.IN.states.LEGAL.states.L3]
type = "final"
[states.IN.states.SECURITY]
initial = "S1"
[states.IN.states.SECURITY.states.S1.on]
heard = "S2"
[states.IN.states.SECURITY.states.S2.on]
"*" = "S3"
[states.IN.states.SECURITY.states.S3]
type = "final"
[states.DONE]
on.reopen = "LAST"
"""
EVENTS = (
    *(
        "skip",
        "leave",
        "enter",
        "legal",
        "back",
        "legal",
        "leave",
        "resume",
        "undo",
        "again",
        "legal",
        "end",
    ),
    *("reopen", "leave", "enter", "legal", "end", "reopen"),
)


@pytest.fixture(scope="module")
def xstate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with XState and a program that runs a machine through events."""
    folder = node_folder(tmp_path_factory, {"xstate": "^5.20.0"})
    (folder / "run.mjs").write_text(RUNNER)
    return folder


def xstates_own(folder: Path, definition: LifecycleDefinition, events: list[str]) -> object:
    machine = json.loads(export_xstate(definition))
    actions = [*ACTIONS, "assign"]
    guards = [*BUILT_INS, *definition.guards, "cel", "and", "or", "not"]
    ran = subprocess.run(
        ["node", "run.mjs", json.dumps([machine, events, actions, guards])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def holds(form: GuardForm) -> bool:
    """Answer a guard as the program does: expressions never hold, whatever has a name does."""
    match form:
        case And(guards=guards):
            return all(map(holds, guards))
        case Or(guards=guards):
            return any(map(holds, guards))
        case Not(guard=guard):
            return not holds(guard)
    return not isinstance(form, Cel)


def ours(definition: LifecycleDefinition, events: list[str]) -> list[list[str]]:
    chart = Lifecycle(definition).chart

    def allows(transition: Transition, *_: object) -> bool:
        assert isinstance(transition.guard, GuardForm)
        return holds(transition.guard)

    at = start(chart, allows)
    seen = [list(at.leaves)]
    for event in events:
        at = step(chart, at.leaves, at.history, event, allows) or at
        seen.append(list(at.leaves))
    return seen


def test_the_default_lifecycle_goes_the_same_way_in_xstate(xstate: Path) -> None:
    text = files("protocol").joinpath("lifecycles", "manifest@1.toml").read_text()
    definition = read_lifecycle(text, "manifest@1.toml")
    events = ["register", "submit_for_review", "reject", "submit_for_review", "approve", "register"]

    seen = xstates_own(xstate, definition, events)

    assert seen == ours(definition, events)
    assert seen[-1] == ["REGISTERED"]


def test_the_extended_lifecycle_goes_the_same_way_in_xstate(xstate: Path) -> None:
    text = files("protocol").joinpath("lifecycles", "manifest-extended@1.toml").read_text()
    definition = read_lifecycle(text, "manifest-extended@1.toml")
    events = ["submit_for_review", "approve_legal", "approve", "reject", "submit_for_review"]
    events += ["approve_security", "approve_legal", "register", "deprecate", "revise", "withdraw"]
    events += ["restore", "supersede", "restore", "withdraw"]

    seen = xstates_own(xstate, definition, events)

    assert seen == ours(definition, events)
    assert ["REGISTERED"] in seen


def test_regions_histories_and_raised_events_go_the_same_way_in_xstate(xstate: Path) -> None:
    definition = read_lifecycle(BOTH, "both.toml")

    seen = xstates_own(xstate, definition, list(EVENTS))

    assert seen == ours(definition, list(EVENTS))
    assert ["DONE"] in seen
