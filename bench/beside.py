"""Ours beside the peers: in every round everybody is asked everything, one after another."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.contenders import MERCURIUS, MERCURIUS_SAME_WORK, SEED, Contender
from bench.documents import CASES
from bench.load import Load, load

CONNECTIONS = 8
Figures = dict[str, dict[str, list[Load]]]  # by case, by contender: one of each round
Row = dict[str, str | float]


def measure(found: Sequence[Contender], *, viewers: int, rounds: int, seconds: int) -> Figures:
    """The first round warms up and is not kept. Who begins changes from round to round."""
    figures: Figures = {case.name: {one.name: [] for one in found if case in one.answers} for case in CASES}
    for number in range(rounds + 1):
        for case in CASES:
            for one in _from(found, number):
                if case in one.answers:
                    asks = one.asks(case, viewers)
                    came = load(one.server, asks, seconds=seconds, connections=CONNECTIONS)
                    figures[case.name][one.name] += [came] if number else []
        print(f"round {number} of {rounds} is done", flush=True)
    return figures


def _from(found: Sequence[Contender], number: int) -> Iterator[Contender]:
    first = number % len(found)
    yield from (*found[first:], *found[:first])


def rows(figures: Figures) -> Iterator[Row]:
    """Medians; the ratios are medians of the rounds' ratios, since a machine's speed drifts."""
    for case, by_name in figures.items():
        for name, loads in by_name.items():
            yield {
                "case": case,
                "who": name,
                "requests a second": round(median(one.per_second for one in loads), 1),
                "processor µs": round(median(one.processor for one in loads)),
                "p99 ms": round(median(one.p99 for one in loads), 1),
                "requests / Mercurius": _ratio(loads, by_name[MERCURIUS], "per_second"),
                "processor / Mercurius": _ratio(loads, by_name[MERCURIUS], "processor"),
                "processor / Mercurius, same work": _ratio(loads, by_name[MERCURIUS_SAME_WORK], "processor"),
                "requests / seed": _ratio(loads, by_name.get(SEED, []), "per_second"),
            }


def _ratio(ours: list[Load], theirs: list[Load], of: str) -> float | str:
    if not theirs:
        return ""
    ratios: list[float] = [getattr(a, of) / getattr(b, of) for a, b in zip(ours, theirs, strict=True)]
    return round(median(ratios), 2)
