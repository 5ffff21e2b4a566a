"""Ours compared with Mercurius, and with a minimal server of uvicorn and asyncpg for the same page."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy.engine import make_url

from bench.beside import CONNECTIONS, Row
from bench.contenders import CACHE_MEGABYTES, CACHE_SECONDS, MERCURIUS, PEERS, build_mercurius_request, node_server
from bench.documents import CASES, Case
from bench.load import LoadResult, Request, run_load
from bench.ours import build_list_request, fetch_data, our_server
from bench.processes import SERVER, Process, free_port, run_server
from bench.stores import to_driver_url

PLAIN = [case for case in CASES if not case.count]


def measure(ours: str, peers: str, *, viewers: int, rounds: int, seconds: int, folder: Path) -> Iterator[Row]:
    """Measure first pages. Return medians of rounds in which all servers are measured; the first one warms up."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(server) for name, server in _build_servers(ours, peers, folder).items()}
        results: dict[tuple[str, str], list[LoadResult]] = {(case.name, name): [] for case in PLAIN for name in servers}
        for number in range(rounds + 1):
            for case in PLAIN:
                for name, server in servers.items():
                    requests = [_build_request(name, viewer, case) for viewer in range(viewers)]
                    _check(server, requests[0], case)
                    result = run_load(server, requests, seconds=seconds, connections=CONNECTIONS)
                    results[case.name, name] += [result] if number else []
    for (case_name, name), of_server in results.items():
        yield _to_row(case_name, name, of_server, results[case_name, MERCURIUS])


def _build_servers(ours: str, peers: str, folder: Path) -> dict[str, AbstractContextManager[Process]]:
    return {
        "ours": our_server(ours, folder / "ours"),
        "the least": _least(ours, folder / "least"),
        "ours, kept": our_server(ours, folder / "kept", cache_seconds=CACHE_SECONDS, cache_megabytes=CACHE_MEGABYTES),
        "the least, kept": _least(ours, folder / "least-kept", LEAST_KEEPS="1"),
        MERCURIUS: node_server("mercurius", peers, folder),
    }


def _build_request(name: str, viewer: int, case: Case) -> Request:
    return (build_mercurius_request if name == MERCURIUS else build_list_request)(viewer, case, None)


def _check(server: Process, request: Request, case: Case) -> None:
    """Raise RuntimeError for a response without the page: a fast error is no speed."""
    data: dict[str, Any] = fetch_data(server, request)
    if len(data["accounts"]["edges"]) != case.first:
        raise RuntimeError(f"{server.url} does not return {case.name}")


def _to_row(case_name: str, name: str, results: list[LoadResult], of_mercurius: list[LoadResult]) -> Row:
    ratio = median(a.processor / b.processor for a, b in zip(results, of_mercurius, strict=True))
    return {
        "case": case_name,
        "who": name,
        "requests a second": round(median(result.per_second for result in results), 1),
        "processor µs": round(median(result.processor for result in results)),
        "processor / Mercurius": round(ratio, 2),
    }


@contextmanager
def _least(database: str, folder: Path, **env: str) -> Iterator[Process]:
    port = free_port()
    uvicorn = Path(sys.executable).parent / "uvicorn"
    options = ("--port", str(port), "--no-access-log", "--loop", "uvloop", "--http", "httptools")
    command: list[str | Path] = [uvicorn, "least:app", "--app-dir", PEERS, *options]
    env["LEAST_DATABASE_URL"] = to_driver_url(make_url(database))
    with run_server(command, port, processors=SERVER, log=folder / "log", env=env) as server:
        yield server
