"""The servers that are compared: ours on both databases, with its cache and without, and the peers."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL

from bench import ours
from bench.documents import CASES, Case
from bench.load import Request
from bench.ours import fetch_data, our_server
from bench.processes import SERVER, Process, free_port, run_server
from bench.rows import Population
from bench.stores import to_driver_url

HERE = Path(__file__).parent
PEERS = HERE / "peers"
CURSOR_EVERY = 4  # every fourth viewer's list is read after a cursor too
CACHE_SECONDS = 300  # the setting's default
CACHE_MEGABYTES = 128  # for all 5,000 answers of a round, some of 13 KB; the default holds a third of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A running server, with the cases that it can answer and cursors by viewer."""

    name: str
    process: Process
    build_request: Callable[[int, Case, str | None], Request]
    cases: frozenset[Case]
    cursors: dict[int, str]

    def build_requests(self, case: Case, viewers: int) -> list[Request]:
        """Return requests that all differ in viewer or cursor."""
        return [
            *(self.build_request(viewer, case, None) for viewer in range(viewers)),
            *(self.build_request(viewer, case, cursor) for viewer, cursor in self.cursors.items()),
        ]


@contextmanager
def contenders(
    *, postgres: str, sqlite: str, peers: str, population: Population, folder: Path
) -> Iterator[Sequence[Contender]]:
    """Run all servers at once, on the same processor; only one of them gets requests at a time."""
    viewers = len(population.sizes)
    with ExitStack() as stack:
        servers = []
        for database, url in (("PostgreSQL", postgres), ("SQLite", sqlite)):
            for cache_seconds in (0, CACHE_SECONDS):
                logs = folder / f"{database}-{cache_seconds}".lower()
                server = stack.enter_context(
                    our_server(
                        url,
                        logs,
                        cache_seconds=cache_seconds,
                        cache_megabytes=CACHE_MEGABYTES if cache_seconds else None,
                    )
                )
                name = f"ours, {database}{', cache on' if cache_seconds else ''}"
                servers.append(_check(name, server, ours.build_list_request, frozenset(CASES), viewers=viewers))
        server = stack.enter_context(node_server("mercurius", peers, folder))
        servers.append(_check(MERCURIUS, server, build_mercurius_request, frozenset(CASES), viewers=viewers))
        for name, program in SAME_WORK.items():
            server = stack.enter_context(node_server(program, peers, folder))
            servers.append(_check(name, server, ours.build_list_request, frozenset(CASES), viewers=viewers))
        with_count = frozenset(case for case in CASES if case.count)  # it always counts
        server = stack.enter_context(_seed(peers, folder))
        servers.append(_check(SEED, server, _build_seed_request, with_count, viewers=viewers))
        yield servers


MERCURIUS = "Mercurius"
MERCURIUS_SAME_WORK = "Mercurius, same work"
SAME_WORK = {  # a verified JWT (remembered), one durable audit row and one line of log for each request, as ours
    MERCURIUS_SAME_WORK: "mercurius_audited",
    "GraphQL Yoga, same work": "yoga",
    "Apollo Server, same work": "apollo",
}
SEED = "the seed's endpoint"
OURS = "ours, PostgreSQL"
OURS_SQLITE = "ours, SQLite"


def _check(
    name: str,
    server: Process,
    build_request: Callable[[int, Case, str | None], Request],
    cases: frozenset[Case],
    *,
    viewers: int,
) -> Contender:
    """Read the cursors, and check that each case is answered: a fast error is no speed. Raise RuntimeError if not."""
    cursors = {}
    case = next(case for case in CASES if case.first == 50 and case in cases)
    for viewer in range(0, viewers, CURSOR_EVERY):
        page_cursors = _list_cursors(fetch_data(server, build_request(viewer, case, None)))
        cursors[viewer] = page_cursors[viewer % 50]
    for case in cases:
        page_cursors = _list_cursors(fetch_data(server, build_request(0, case, cursors[0])))
        if len(page_cursors) != case.first:
            raise RuntimeError(f"{name} returns {len(page_cursors)} accounts for a {case.name}")
    return Contender(name=name, process=server, build_request=build_request, cases=cases, cursors=cursors)


def _list_cursors(answer: dict[str, Any]) -> list[str]:
    """Return the cursors of a page."""
    if "items" in answer:
        return [str(item["id"]) for item in answer["items"]]
    return [edge["cursor"] for edge in answer["accounts"]["edges"]]


def _identity(viewer: int) -> tuple[str, str]:
    return "x-user", str(viewer + 1)


def build_mercurius_request(viewer: int, case: Case, after: str | None) -> Request:
    return ours.build_list_request(viewer, case, after)._replace(identity=_identity(viewer))


def _build_seed_request(viewer: int, case: Case, after: str | None) -> Request:
    # Its cursor means "ids below", and the list is newest first: 900 more leave enough accounts to fill a page.
    cursor = f"&cursor={int(after) + 900}" if after else ""
    return Request("GET", f"/accounts/?limit={case.first}{cursor}", _identity(viewer))


@contextmanager
def node_server(program: str, database: str, folder: Path) -> Iterator[Process]:
    """One of the peers that Node runs, by its file's name."""
    port = free_port()
    env = {
        "PEERS_DATABASE_URL": database,
        "NODE_ENV": "production",
        "PORT": str(port),
        "JWT_SECRET": ours.secret(),
    }
    node = shutil.which("node") or "node"
    log = folder / program / "log"
    with run_server([node, PEERS / f"{program}.mjs"], port, processors=SERVER, log=log, env=env) as server:
        yield server


@contextmanager
def _seed(database: str, folder: Path) -> Iterator[Process]:
    port = free_port()
    command: list[str | Path] = [
        HERE.parent / ".venv-bench/bin/gunicorn",
        *("seed_ninja:application", "--chdir", PEERS, "-b", f"127.0.0.1:{port}"),
        *("-w1", "-k", "gthread", "--threads", "8", "--log-level", "error"),
    ]
    env = {"PEERS_DATABASE_URL": database, "PYTHONPATH": os.fspath(PEERS)}
    with run_server(command, port, processors=SERVER, log=folder / "seed" / "log", env=env) as server:
        yield server


async def peers_store(server: URL, population: Population) -> str:
    """Return the URL of the peers' database with as many viewers and accounts; it is created once."""
    name = f"bench_audited_peers_{population.name}"
    url = to_driver_url(server.set(database=name))
    admin = await asyncpg.connect(to_driver_url(server))
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await admin.execute('DROP DATABASE IF EXISTS "bench_peers_unfinished"')
        await admin.execute('CREATE DATABASE "bench_peers_unfinished"')
        peers = await asyncpg.connect(to_driver_url(server.set(database="bench_peers_unfinished")))
        tables, rows, rest = (PEERS / "seed.sql").read_text().split("-- then\n")
        await peers.execute(tables)
        await peers.execute(rows % (len(population.sizes), population.sizes[0]), timeout=3600)
        for statement in rest.split(";"):
            if statement.strip():
                await peers.execute(statement, timeout=3600)
        await peers.close()
        await admin.execute(f'ALTER DATABASE "bench_peers_unfinished" RENAME TO "{name}"')
    await admin.close()
    return url
