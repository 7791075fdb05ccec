"""Attempts per update, and how many updates got through."""

from bench.contention import Retries, figures


def test_an_update_that_failed_made_all_its_attempts_and_did_not_get_through() -> None:
    retries = Retries([1, 1, 2], failed=1)

    average, success = figures(retries)

    assert average.value == (1 + 1 + 2 + 3) / 4
    assert success.value == 75.0
    assert not success.holds


def test_updates_that_get_through_keep_the_bound() -> None:
    assert all(figure.holds for figure in figures(Retries([1] * 95, failed=5)))
