"""`make check-budget` says what grew, and by how much."""

import pytest

from bench.budget import exceeded


def test_what_stays_within_a_tenth_passes() -> None:
    assert list(exceeded({"list": 1000, "account": 100}, {"list": 1100, "account": 40})) == []


def test_what_grows_by_more_than_a_tenth_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    [line] = exceeded({"list": 1000, "account": 100}, {"list": 1101, "account": 100})
    assert line.startswith("list costs 10.1% more than its budget.")
    assert "account: 100 instructions a request, +0.0%" in capsys.readouterr().out


def test_an_operation_without_a_budget_or_without_a_count_is_named() -> None:
    lines = list(exceeded({"gone": 1}, {"new": 1}))
    assert [line.partition(".")[0] for line in lines] == ["gone: no longer counted", "new: no budget yet"]
