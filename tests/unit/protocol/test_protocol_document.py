"""docs/protocol.md says what the code says."""

from docs.generate_protocol import PATH, generate
from protocol.commands import OPS
from protocol.errors import ERROR_CLASSES


def test_the_document_is_not_stale() -> None:
    assert PATH.read_text() == generate(), "run: python -m docs.generate_protocol"


def test_the_document_names_every_op_every_code_and_every_member() -> None:
    text = PATH.read_text()
    members = {name for op in OPS.values() for name in op.request.__struct_fields__}

    assert all(f"\n### {op}\n" in text for op in OPS)
    assert all(f"| `{code}` |" in text for code in ERROR_CLASSES)
    assert all(f"`{member}`" in text or member == "v" for member in members)
    assert "| `from` |" in text
