"""Resident memory of the server under load."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.beside import CONNECTIONS, Row
from bench.documents import CASES, SUMMARY
from bench.load import run_load
from bench.ours import build_list_request, build_request, our_server

SAMPLES = 60


def measure(url: str, *, viewers: int, minutes: float, folder: Path) -> Iterator[Row]:
    """Request all lists of all viewers and their totals, with the cache on, so that it fills up to its limit."""
    requests = [build_list_request(viewer, case, None) for case in CASES for viewer in range(viewers)]
    requests += [build_request(viewer, SUMMARY) for viewer in range(viewers)]
    sample_seconds = max(5, round(minutes * 60 / SAMPLES))
    with our_server(url, folder / "logs" / "memory", cache_seconds=300) as server:
        started_at = time.monotonic()
        yield {"minutes": 0.0, "MB": round(max(server.memory()), 1), "requests a second": ""}
        while (elapsed := time.monotonic() - started_at) < minutes * 60:
            result = run_load(server, requests, seconds=sample_seconds, connections=CONNECTIONS)
            minute = round((elapsed + sample_seconds) / 60, 1)
            yield {
                "minutes": minute,
                "MB": round(max(server.memory()), 1),
                "requests a second": round(result.per_second),
            }
