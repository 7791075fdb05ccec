"""What lies in the manifests' own folders, and in the journal, after a drained end."""

from pathlib import Path

from daemon.archive.layout import Layout
from protocol.snapshots import encode_snapshot
from tests.simulation.media import Inode, Media
from tests.simulation.model import Model


def check_archive(media: Media, data: Path, model: Model) -> None:
    """Raise unless every folder holds exactly what the model says (15), and the journal, too."""
    layout = Layout(data)
    for manifest_id, state in model.states.items():
        lines = [event.line for event in model.events if event.core.manifest_id == manifest_id]
        if content(media, layout.log(manifest_id)) != b"".join(line + b"\n" for line in lines):
            raise model.world.violated(f"15: events.log of {manifest_id} is not its events")
        if content(media, layout.state(manifest_id)) != encode_snapshot(state):
            raise model.world.violated(f"15: state.json of {manifest_id} is not the replay")


def content(media: Media, path: Path) -> bytes:
    """Return a file's bytes; nothing where there is none."""
    node = media.node(path)
    return bytes(node.cached) if isinstance(node, Inode) else b""
