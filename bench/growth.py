"""Latency as data grows: by the accounts of one viewer, and by all accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.beside import CONNECTIONS, Row
from bench.documents import CASES, FILTERED, SUMMARY
from bench.load import Request, run_load
from bench.ours import build_list_request, build_request, fetch_data, our_server
from bench.processes import Process
from bench.rows import Population

MANY = 64
WARM_UP = 2  # seconds
PER_VIEWER = 1000
PLAIN, COUNTED = CASES[0], CASES[1]


def ladder(largest: int) -> Population:
    """Return a population with one viewer each of 10, 100, 1,000 … accounts."""
    steps = [10**power for power in range(1, 8) if 10**power <= largest]
    return Population(name=f"ladder_{largest}", sizes=tuple(steps))


def sizes(largest: int) -> list[Population]:
    """Return populations of 10,000, 100,000 … accounts and the largest, which need not be a power of ten."""
    viewers = [count for count in (10, 100, 1000) if count * PER_VIEWER < largest]
    return [Population.even(count, PER_VIEWER) for count in (*viewers, largest // PER_VIEWER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of the plot: which database, what grows in it (`by`), and the `seconds` of each load."""

    database: str
    by: str
    seconds: int

    def measure(
        self, server: Process, size: int, name: str, requests: list[Request], *, connections: int = CONNECTIONS
    ) -> Row:
        run_load(server, requests, seconds=WARM_UP, connections=connections)
        result = run_load(server, requests, seconds=self.seconds, connections=connections)
        return {
            "database": self.database,
            "by": self.by,
            "accounts": size,
            "asked": name,
            "requests a second": round(result.per_second, 1),
            "p50 ms": round(result.p50, 2),
            "p99 ms": round(result.p99, 2),
        }


def per_viewer(database: str, url: str, population: Population, *, seconds: int, folder: Path) -> Iterator[Row]:
    series = Series(database=database, by="accounts of the viewer", seconds=seconds)
    with our_server(url, folder / "logs" / "growth") as server:
        for viewer, size in enumerate(population.sizes):
            for name, requests in _build_requests(server, viewer, size):
                yield series.measure(server, size, name, requests)


def overall(database: str, url: str, population: Population, *, seconds: int, folder: Path) -> Iterator[Row]:
    series = Series(database=database, by="all accounts", seconds=seconds)
    requests = [build_list_request(viewer, COUNTED, None) for viewer in range(min(len(population.sizes), 1000))]
    with our_server(url, folder / "logs" / "growth") as server:
        for connections in (CONNECTIONS, MANY):
            name = f"{COUNTED.name}, {connections} connections"
            yield series.measure(server, population.total, name, requests, connections=connections)


def _build_requests(server: Process, viewer: int, size: int) -> Iterator[tuple[str, list[Request]]]:
    """What one viewer requests for. Cursors and filters vary; the viewer and the token cannot."""
    cursors = _read_middle_cursors(server, viewer, size)
    yield "first page", [build_list_request(viewer, PLAIN, None)]
    yield "first page, totalCount", [build_list_request(viewer, COUNTED, None)]
    if cursors:
        yield "page deep inside", [build_list_request(viewer, PLAIN, cursor) for cursor in cursors]
    statuses = (["EXPIRED"], ["INACTIVE"], ["ACTIVE", "EXPIRED"])
    yield (
        "filtered page, totalCount",
        [build_request(viewer, FILTERED, filter={"status": status}) for status in statuses],
    )
    searches = [f"{number:x}{number + 1:x}" for number in range(10, 15)]
    yield (
        "search, totalCount",
        [build_request(viewer, FILTERED, filter={"search": f"display {word}"}) for word in searches],
    )
    yield "summary", [build_request(viewer, SUMMARY)]


def _read_middle_cursors(server: Process, viewer: int, size: int) -> list[str]:
    """Return the cursors of the page in the middle of a list; reads half of the list, 50 accounts a page."""
    after, cursors = None, []
    for _ in range(size // 100):
        answer: Any = fetch_data(server, build_list_request(viewer, CASES[2], after))
        cursors = [edge["cursor"] for edge in answer["accounts"]["edges"]]
        after = cursors[-1]
    return cursors
