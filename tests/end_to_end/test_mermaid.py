"""What is drawn is read by Mermaid's own parser."""

import json
import subprocess

import pytest

from protocol.lifecycle.diagram import mermaid
from protocol.lifecycle.registry import LifecycleRegistry
from tests.support.charts import EVERYTHING
from tests.support.node_packages import node_folder

READER = """\
import DOMPurify from "dompurify";
DOMPurify.addHook ??= () => {};  // There is no window here, and nothing to be purified for.
DOMPurify.sanitize ??= (text) => text;
const { default: mermaid } = await import("mermaid");
const drawings = JSON.parse(process.argv[2]);
const read = [];
for (const drawing of drawings) {
  await mermaid.parse(drawing);
  const { db } = await mermaid.mermaidAPI.getDiagramFromText(drawing);
  read.push(db.getRelations().map((one) => [one.id1, one.id2, one.relationTitle]));
}
console.log(JSON.stringify(read));
"""


@pytest.mark.long  # Mermaid brings a hundred packages along: nine seconds of CPU to install them.
def test_mermaids_own_parser_reads_what_is_drawn(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = node_folder(tmp_path_factory, {"mermaid": "^11.0.0"})
    (folder / "read.mjs").write_text(READER)
    default = LifecycleRegistry.builtin().get("manifest@1").chart
    drawings = [mermaid(default, {}), mermaid(EVERYTHING, {}, ["L1", "a.b"])]

    ran = subprocess.run(
        ["node", "read.mjs", json.dumps(drawings)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    first, second = json.loads(ran.stdout)
    assert ["REVIEWED", "APPROVED", "approve [digest_matches and four_eyes]"] in first
    assert ["SIGN_OFF", "DRAFT", "after 14d"] in second
    assert ["last", "LEGAL", ""] in second
    ways = sum(max(1, len(one.targets)) for one in EVERYTHING.transitions)
    assert len(second) == ways + len(["last to LEGAL", "last to a.b"])  # Nothing came from a label.
