"""An exported lifecycle goes through the same states in XState itself."""

import json
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from protocol.lifecycle.definition import LifecycleDefinition
from protocol.lifecycle.guards import Cel
from protocol.lifecycle.lifecycle import Lifecycle
from protocol.lifecycle.reader import read_lifecycle
from protocol.lifecycle.xstate_export import export_xstate
from protocol.statechart.compiled import Transition
from protocol.statechart.kernel import start, step
from tests.support.node_packages import node_folder

RUNNER = """\
import { createActor, createMachine, enqueueActions } from "xstate";
const [machine, events] = JSON.parse(process.argv[2]);
const raised = enqueueActions(({ enqueue }, params) => enqueue.raise({ type: params.event }));
const names = ["record_approval", "void_approvals", "record_rejection", "clear_rejection"];
const actions = Object.fromEntries(
  [...names, "allow_revert", "record_registration"].map((name) => [name, () => {}])
);
const holds = ["manifest_valid", "reason_given", "digest_matches", "four_eyes", "urn_free"];
const guards = Object.fromEntries([...holds, "content_approved"].map((name) => [name, () => true]));
const of = (params) => (args) => params.guards.every((guard) => (guards[guard] ?? (() => false))());
guards.and = (_, params) => of(params)();
guards.cel = () => false;
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
    ran = subprocess.run(
        ["node", "run.mjs", json.dumps([machine, events])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def ours(definition: LifecycleDefinition, events: list[str]) -> list[list[str]]:
    chart = Lifecycle(definition).chart

    def allows(transition: Transition, *_: object) -> bool:
        return not isinstance(transition.guard, Cel)

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


def test_regions_histories_and_raised_events_go_the_same_way_in_xstate(xstate: Path) -> None:
    definition = read_lifecycle(BOTH, "both.toml")

    seen = xstates_own(xstate, definition, list(EVENTS))

    assert seen == ours(definition, list(EVENTS))
    assert ["DONE"] in seen
