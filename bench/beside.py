"""Ours beside the peers: in every round every server answers every case, one after another."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.contenders import MERCURIUS, MERCURIUS_SAME_WORK, SEED, Contender
from bench.documents import CASES
from bench.load import LoadResult, run_load

CONNECTIONS = 8
Figures = dict[str, dict[str, list[LoadResult]]]  # by case and contender; a result for each round
Row = dict[str, str | float]


def measure(servers: Sequence[Contender], *, viewers: int, rounds: int, seconds: int) -> Figures:
    """Run the rounds. The first one warms up and is dropped. Each round starts with another server."""
    figures: Figures = {case.name: {server.name: [] for server in servers if case in server.cases} for case in CASES}
    for number in range(rounds + 1):
        for case in CASES:
            first = number % len(servers)
            for server in (*servers[first:], *servers[:first]):
                if case in server.cases:
                    requests = server.build_requests(case, viewers)
                    result = run_load(server.process, requests, seconds=seconds, connections=CONNECTIONS)
                    figures[case.name][server.name] += [result] if number else []
        print(f"round {number} of {rounds} is done", flush=True)
    return figures


def rows(figures: Figures) -> Iterator[Row]:
    """Return medians; the ratios are medians of the rounds' ratios, because a machine's speed drifts."""
    for case, by_name in figures.items():
        for name, results in by_name.items():
            yield {
                "case": case,
                "who": name,
                "requests a second": round(median(result.per_second for result in results), 1),
                "processor µs": round(median(result.processor for result in results)),
                "p99 ms": round(median(result.p99 for result in results), 1),
                "requests / Mercurius": _ratio(results, by_name[MERCURIUS], "per_second"),
                "processor / Mercurius": _ratio(results, by_name[MERCURIUS], "processor"),
                "processor / Mercurius, same work": _ratio(results, by_name[MERCURIUS_SAME_WORK], "processor"),
                "requests / seed": _ratio(results, by_name.get(SEED, []), "per_second"),
            }


def _ratio(ours: list[LoadResult], theirs: list[LoadResult], attribute: str) -> float | str:
    if not theirs:
        return ""
    ratios: list[float] = [getattr(a, attribute) / getattr(b, attribute) for a, b in zip(ours, theirs, strict=True)]
    return round(median(ratios), 2)
