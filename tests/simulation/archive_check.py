"""What lies in the manifests' own folders, and in no file any more, after a drained end."""

from pathlib import Path

from daemon.archive.layout import QUARANTINE_NAME, Layout
from protocol.snapshots import encode_snapshot
from tests.simulation.media import Inode, Media
from tests.simulation.model import Model


def check_archive(media: Media, data: Path, model: Model) -> None:
    """Raise unless every folder holds exactly what the model says (15), and nothing redacted."""
    layout = Layout(data)
    for manifest_id, state in model.states.items():
        lines = [
            model.now(event) for event in model.events if event.core.manifest_id == manifest_id
        ]
        if content(media, layout.log(manifest_id)) != b"".join(line + b"\n" for line in lines):
            raise model.world.violated(f"15: events.log of {manifest_id} is not its events")
        if content(media, layout.state(manifest_id)) != encode_snapshot(state):
            raise model.world.violated(f"15: state.json of {manifest_id} is not the replay")
    for path, node in media.files():
        if path.parent.name == QUARANTINE_NAME:
            continue
        left = [text for text in model.redacted_texts() if text in node.cached]
        if left:
            raise model.world.violated(f"redact: {path} holds {left}, which was redacted")


def content(media: Media, path: Path) -> bytes:
    """Return a file's bytes; nothing where there is none."""
    node = media.node(path)
    return bytes(node.cached) if isinstance(node, Inode) else b""
