"""Resident memory of a serving process while it is under load."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.beside import CONNECTIONS, Row
from bench.documents import CASES, SUMMARY
from bench.load import load
from bench.ours import ask, list_ask, our_server

SAMPLES = 60


def measure(url: str, *, viewers: int, minutes: float, folder: Path) -> Iterator[Row]:
    """All lists of all viewers and their totals, with the cache on: it may fill as far as it is allowed to."""
    asks = [list_ask(viewer, case, None) for case in CASES for viewer in range(viewers)]
    asks += [ask(viewer, SUMMARY) for viewer in range(viewers)]
    each = max(5, round(minutes * 60 / SAMPLES))
    with our_server(url, folder / "logs" / "memory", cache_seconds=300) as server:
        begun = time.monotonic()
        yield {"minutes": 0.0, "MB": round(max(server.memory()), 1), "requests a second": ""}
        while (until_now := time.monotonic() - begun) < minutes * 60:
            came = load(server, asks, seconds=each, connections=CONNECTIONS)
            minute = round((until_now + each) / 60, 1)
            yield {"minutes": minute, "MB": round(max(server.memory()), 1), "requests a second": round(came.per_second)}
