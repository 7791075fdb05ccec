"""The generated fixtures are what their generator makes, and nothing is left over."""

import pytest

from tests.support.make_fixtures import FIXTURES, fixture_files

FILES = fixture_files()


@pytest.mark.parametrize("name", FILES)
def test_a_fixture_is_not_stale(name: str) -> None:
    assert (FIXTURES / name).read_bytes() == FILES[name], (
        "run: python -m tests.support.make_fixtures"
    )


def test_no_fixture_is_left_over() -> None:
    found = {
        str(path.relative_to(FIXTURES))
        for folder in ("events", "digests")
        for path in (FIXTURES / folder).rglob("*")
        if path.is_file()
    }

    assert found == {name for name in FILES if "/" in name}
