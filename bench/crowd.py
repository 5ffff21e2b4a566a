"""Lists asked on 8 connections, then on 1,500, then on 8 again: answers a second, waits, memory, and how `/livez` fares.

    python -m bench.crowd sqlite|postgresql [--seconds 15] [--crowd 1500] [--requests 32] [--cached]

One line of JSON for each. `livez` is asked beside the crowd, each time on a connection of its own, in milliseconds.
"""

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.documents import CASES
from bench.load import Ask, load
from bench.ours import list_ask, our_server
from bench.postgres import postgres_server
from bench.processes import Process
from bench.rows import Population
from bench.stores import postgres_store, sqlite_store
from tiktok_accounts_gql.settings import PREFIX

POPULATION = Population.even(viewers=50, accounts_each=60)
FEW = 8


@contextmanager
def _probed(url: str) -> Iterator[list[float]]:
    waits: list[float] = []
    ended = threading.Event()

    def probe() -> None:
        while not ended.wait(0.05):
            began = time.perf_counter()
            connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
            try:
                connection.request("GET", "/livez")
                good = connection.getresponse().status == 200
            except (OSError, HTTPException):
                good = False
            finally:
                connection.close()
            waits.append(1000 * (time.perf_counter() - began) if good else float("inf"))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def _round(server: Process, asks: list[Ask], connections: int, seconds: float) -> dict[str, float]:
    with _probed(server.url) as waits:
        came = load(server, asks, seconds=seconds, connections=connections)
    waits.sort()
    return {
        "connections": connections,
        "answers_per_second": round(came.per_second, 1),
        "p50_ms": round(came.p50, 1),
        "p99_ms": round(came.p99, 1),
        "longest_ms": round(came.longest, 1),
        "processor_us": round(came.processor),
        "livez_p50_ms": round(median(waits), 1),
        "livez_longest_ms": round(waits[-1], 1),
        "resident_mb": round(max(server.memory())),
    }


def measure(url: str, folder: Path, *, seconds: float, crowd: int, cached: bool) -> None:
    asks = [list_ask(viewer, CASES[0], None) for viewer in range(len(POPULATION.sizes))]
    with our_server(url, folder, cache_seconds=300 if cached else 0) as server:
        load(server, asks, seconds=2, connections=FEW)
        for connections, pause in ((FEW, 0), (crowd, 5), (FEW, 0)):
            print(json.dumps(_round(server, asks, connections, seconds)), flush=True)
            time.sleep(pause)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=("sqlite", "postgresql"))
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--crowd", type=int, default=1500)
    parser.add_argument("--requests", default="32")
    parser.add_argument("--cached", action="store_true")
    told = parser.parse_args()
    os.environ[PREFIX + "MAX_REQUESTS"] = told.requests
    folder = Path(tempfile.gettempdir()) / "accounts-bench-crowd"
    folder.mkdir(exist_ok=True)
    if told.backend == "sqlite":
        measure(sqlite_store(folder, POPULATION), folder, seconds=told.seconds, crowd=told.crowd, cached=told.cached)
        return
    with postgres_server(folder) as server:
        url = asyncio.run(postgres_store(server.url, POPULATION))
        measure(url, folder, seconds=told.seconds, crowd=told.crowd, cached=told.cached)


if __name__ == "__main__":
    main()
