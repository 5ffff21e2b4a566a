"""Ours beside the least that uvicorn and asyncpg take for the same page, and beside Mercurius."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy.engine import make_url

from bench.beside import CONNECTIONS, Row
from bench.contenders import KEPT, MEGABYTES, MERCURIUS, PEERS, ask_mercurius, node_server
from bench.documents import CASES, Case
from bench.load import Ask, Load, load
from bench.ours import answered, list_ask, our_server
from bench.processes import SERVER, Process, free_port, started
from bench.stores import plain

PLAIN = [case for case in CASES if not case.count]


def measure(ours: str, peers: str, *, viewers: int, rounds: int, seconds: int, folder: Path) -> Iterator[Row]:
    """Beginnings of lists; medians of rounds in which everybody is asked. The first round warms up and is not kept."""
    with ExitStack() as up:
        servers = {name: up.enter_context(server) for name, server in _servers(ours, peers, folder).items()}
        found: dict[tuple[str, str], list[Load]] = {(case.name, name): [] for case in PLAIN for name in servers}
        for number in range(rounds + 1):
            for case in PLAIN:
                for name, server in servers.items():
                    asks = [_ask(name, viewer, case) for viewer in range(viewers)]
                    _look_at(server, asks[0], case)
                    came = load(server, asks, seconds=seconds, connections=CONNECTIONS)
                    found[case.name, name] += [came] if number else []
    for (asked, name), loads in found.items():
        yield _row(asked, name, loads, found[asked, MERCURIUS])


def _servers(ours: str, peers: str, folder: Path) -> dict[str, AbstractContextManager[Process]]:
    return {
        "ours": our_server(ours, folder / "ours"),
        "the least": _least(ours, folder / "least"),
        "ours, kept": our_server(ours, folder / "kept", cache_seconds=KEPT, cache_megabytes=MEGABYTES),
        "the least, kept": _least(ours, folder / "least-kept", LEAST_KEEPS="1"),
        MERCURIUS: node_server("mercurius", peers, folder),
    }


def _ask(name: str, viewer: int, case: Case) -> Ask:
    return (ask_mercurius if name == MERCURIUS else list_ask)(viewer, case, None)


def _look_at(server: Process, ask: Ask, case: Case) -> None:
    """A quick refusal is no speed. Raises RuntimeError."""
    data: dict[str, Any] = answered(server, ask)
    if len(data["accounts"]["edges"]) != case.first:
        raise RuntimeError(f"{server.url} does not show {case.name}")


def _row(asked: str, name: str, loads: list[Load], theirs: list[Load]) -> Row:
    ratio = median(one.processor / other.processor for one, other in zip(loads, theirs, strict=True))
    return {
        "case": asked,
        "who": name,
        "requests a second": round(median(one.per_second for one in loads), 1),
        "processor µs": round(median(one.processor for one in loads)),
        "processor / Mercurius": round(ratio, 2),
    }


@contextmanager
def _least(database: str, folder: Path, **env: str) -> Iterator[Process]:
    port = free_port()
    uvicorn = Path(sys.executable).parent / "uvicorn"
    options = ("--port", str(port), "--no-access-log", "--loop", "uvloop", "--http", "httptools")
    command: list[str | Path] = [uvicorn, "least:app", "--app-dir", PEERS, *options]
    env["LEAST_DATABASE_URL"] = plain(make_url(database))
    with started(command, port, processors=SERVER, log=folder / "log", env=env) as server:
        yield server
