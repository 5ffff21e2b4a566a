"""`make check-budget` reports which operations exceed their budget, and by how much."""

import pytest

from bench.budget import find_exceeded


def test_a_growth_of_a_tenth_is_allowed() -> None:
    assert list(find_exceeded({"list": 1000, "account": 100}, {"list": 1100, "account": 40})) == []


def test_a_growth_of_more_than_a_tenth_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    [line] = find_exceeded({"list": 1000, "account": 100}, {"list": 1101, "account": 100})
    assert line.startswith("list costs 10.1% more than its budget.")
    assert "account: 100 instructions a request, +0.0%" in capsys.readouterr().out


def test_an_operation_without_a_budget_or_a_count_is_reported() -> None:
    lines = list(find_exceeded({"gone": 1}, {"new": 1}))
    assert [line.partition(".")[0] for line in lines] == ["gone: no longer counted", "new: no budget yet"]
