"""Latency as data grows: by the accounts of one viewer, and by all accounts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.beside import CONNECTIONS, Row
from bench.documents import CASES, FILTERED, SUMMARY
from bench.load import Ask, load
from bench.ours import answered, ask, list_ask, our_server
from bench.processes import Process
from bench.rows import Population

MANY = 64
WARM_UP = 2  # seconds
PER_VIEWER = 1000
PLAIN, COUNTED = CASES[0], CASES[1]


def ladder(largest: int) -> Population:
    """One viewer each with 10, 100, 1,000 … accounts."""
    steps = [10**power for power in range(1, 8) if 10**power <= largest]
    return Population(name=f"ladder_{largest}", sizes=tuple(steps))


def sizes(largest: int) -> list[Population]:
    """Databases of 10,000 accounts and ten times as many until the largest, which need not be a power of ten."""
    viewers = [count for count in (10, 100, 1000) if count * PER_VIEWER < largest]
    return [Population.even(count, PER_VIEWER) for count in (*viewers, largest // PER_VIEWER)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """What grows, on which database; `seconds` of each load."""

    database: str
    by: str
    seconds: int

    def row(self, server: Process, size: int, name: str, asks: list[Ask], *, connections: int = CONNECTIONS) -> Row:
        load(server, asks, seconds=WARM_UP, connections=connections)
        came = load(server, asks, seconds=self.seconds, connections=connections)
        return {
            "database": self.database,
            "by": self.by,
            "accounts": size,
            "asked": name,
            "requests a second": round(came.per_second, 1),
            "p50 ms": round(came.p50, 2),
            "p99 ms": round(came.p99, 2),
        }


def per_viewer(database: str, url: str, population: Population, *, seconds: int, folder: Path) -> Iterator[Row]:
    growing = Growing(database=database, by="accounts of the viewer", seconds=seconds)
    with our_server(url, folder / "logs" / "growth") as server:
        for viewer, size in enumerate(population.sizes):
            for name, asks in _kinds(server, viewer, size):
                yield growing.row(server, size, name, asks)


def overall(database: str, url: str, population: Population, *, seconds: int, folder: Path) -> Iterator[Row]:
    growing = Growing(database=database, by="all accounts", seconds=seconds)
    asks = [list_ask(viewer, COUNTED, None) for viewer in range(min(len(population.sizes), 1000))]
    with our_server(url, folder / "logs" / "growth") as server:
        for connections in (CONNECTIONS, MANY):
            name = f"{COUNTED.name}, {connections} connections"
            yield growing.row(server, population.total, name, asks, connections=connections)


def _kinds(server: Process, viewer: int, size: int) -> Iterator[tuple[str, list[Ask]]]:
    """What one viewer asks for. Cursors and filters vary; the viewer and the token cannot."""
    pages = _middle_cursors(server, viewer, size)
    yield "first page", [list_ask(viewer, PLAIN, None)]
    yield "first page, totalCount", [list_ask(viewer, COUNTED, None)]
    if pages:
        yield "page deep inside", [list_ask(viewer, PLAIN, cursor) for cursor in pages]
    statuses = (["EXPIRED"], ["INACTIVE"], ["ACTIVE", "EXPIRED"])
    yield "filtered page, totalCount", [ask(viewer, FILTERED, filter={"status": chosen}) for chosen in statuses]
    searched = [f"{number:x}{number + 1:x}" for number in range(10, 15)]
    yield "search, totalCount", [ask(viewer, FILTERED, filter={"search": f"display {word}"}) for word in searched]
    yield "summary", [ask(viewer, SUMMARY)]


def _middle_cursors(server: Process, viewer: int, size: int) -> list[str]:
    """Of the page in the middle of a list; found by reading half of it, 50 a page."""
    after, cursors = None, []
    for _ in range(size // 100):
        answer: Any = answered(server, list_ask(viewer, CASES[2], after))
        cursors = [edge["cursor"] for edge in answer["accounts"]["edges"]]
        after = cursors[-1]
    return cursors
