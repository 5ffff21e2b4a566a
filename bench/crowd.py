"""Load on 8 connections, then on 1,500, then on 8 again: requests a second, latencies, memory, and latencies of `/livez`.

    python -m bench.crowd sqlite|postgresql [--seconds 15] [--crowd 1500] [--requests 32] [--cached]

Prints a line of JSON for each. `/livez` is requested meanwhile, each time on a new connection; times are milliseconds.
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
from bench.load import Request, run_load
from bench.ours import build_list_request, our_server
from bench.postgres import postgres_server
from bench.processes import Process
from bench.rows import Population
from bench.stores import postgres_store, sqlite_store
from tiktok_accounts_gql.settings import PREFIX

POPULATION = Population.even(viewers=50, accounts_each=60)
FEW = 8


@contextmanager
def _probe_livez(url: str) -> Iterator[list[float]]:
    waits: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        while not stop.wait(0.05):
            started_at = time.perf_counter()
            connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
            try:
                connection.request("GET", "/livez")
                is_alive = connection.getresponse().status == 200
            except (OSError, HTTPException):
                is_alive = False
            finally:
                connection.close()
            waits.append(1000 * (time.perf_counter() - started_at) if is_alive else float("inf"))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


def _measure_round(server: Process, requests: list[Request], connections: int, seconds: float) -> dict[str, float]:
    with _probe_livez(server.url) as waits:
        result = run_load(server, requests, seconds=seconds, connections=connections)
    waits.sort()
    return {
        "connections": connections,
        "answers_per_second": round(result.per_second, 1),
        "p50_ms": round(result.p50, 1),
        "p99_ms": round(result.p99, 1),
        "longest_ms": round(result.longest, 1),
        "processor_us": round(result.processor),
        "livez_p50_ms": round(median(waits), 1),
        "livez_longest_ms": round(waits[-1], 1),
        "resident_mb": round(max(server.memory())),
    }


def measure(url: str, folder: Path, *, seconds: float, crowd: int, cached: bool) -> None:
    requests = [build_list_request(viewer, CASES[0], None) for viewer in range(len(POPULATION.sizes))]
    with our_server(url, folder, cache_seconds=300 if cached else 0) as server:
        run_load(server, requests, seconds=2, connections=FEW)
        for connections, pause in ((FEW, 0), (crowd, 5), (FEW, 0)):
            print(json.dumps(_measure_round(server, requests, connections, seconds)), flush=True)
            time.sleep(pause)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", choices=("sqlite", "postgresql"))
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--crowd", type=int, default=1500)
    parser.add_argument("--requests", default="32")
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    os.environ[PREFIX + "MAX_REQUESTS"] = options.requests
    folder = Path(tempfile.gettempdir()) / "accounts-bench-crowd"
    folder.mkdir(exist_ok=True)
    if options.backend == "sqlite":
        measure(
            sqlite_store(folder, POPULATION),
            folder,
            seconds=options.seconds,
            crowd=options.crowd,
            cached=options.cached,
        )
        return
    with postgres_server(folder) as server:
        url = asyncio.run(postgres_store(server.url, POPULATION))
        measure(url, folder, seconds=options.seconds, crowd=options.crowd, cached=options.cached)


if __name__ == "__main__":
    main()
