"""Who is measured: ours on both databases, with its cache and without, and the peers."""

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
from bench.load import Ask
from bench.ours import answered, our_server
from bench.processes import SERVER, Process, free_port, started
from bench.rows import Population
from bench.stores import plain

HERE = Path(__file__).parent
PEERS = HERE / "peers"
ONE_IN = 4  # viewers whose list is read on from a cursor, besides from its beginning
KEPT = 300  # seconds: the setting's default
MEGABYTES = 128  # that all 5,000 answers of a round fit, some of which are 13 KB; the default holds a third of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server that is up. `asks` makes the requests of a case; all differ in viewer, identity or cursor."""

    name: str
    server: Process
    ask: Callable[[int, Case, str | None], Ask]
    answers: frozenset[Case]
    cursors: dict[int, str]

    def asks(self, case: Case, viewers: int) -> list[Ask]:
        return [
            *(self.ask(viewer, case, None) for viewer in range(viewers)),
            *(self.ask(viewer, case, cursor) for viewer, cursor in self.cursors.items()),
        ]


@contextmanager
def contenders(
    *, postgres: str, sqlite: str, peers: str, population: Population, folder: Path
) -> Iterator[Sequence[Contender]]:
    """All of them at once, on the same processor; those that are not asked wait."""
    viewers = len(population.sizes)
    with ExitStack() as up:
        found = []
        for database, url in (("PostgreSQL", postgres), ("SQLite", sqlite)):
            for kept in (0, KEPT):
                own = folder / f"{database}-{kept}".lower()
                server = up.enter_context(
                    our_server(url, own, cache_seconds=kept, cache_megabytes=MEGABYTES if kept else None)
                )
                name = f"ours, {database}{', cache on' if kept else ''}"
                found.append(_checked(name, server, ours.list_ask, frozenset(CASES), viewers=viewers))
        server = up.enter_context(node_server("mercurius", peers, folder))
        found.append(_checked(MERCURIUS, server, ask_mercurius, frozenset(CASES), viewers=viewers))
        for name, program in SAME_WORK.items():
            server = up.enter_context(node_server(program, peers, folder))
            found.append(_checked(name, server, ours.list_ask, frozenset(CASES), viewers=viewers))
        counted = frozenset(case for case in CASES if case.count)  # it always counts
        server = up.enter_context(_seed(peers, folder))
        found.append(_checked(SEED, server, _ask_seed, counted, viewers=viewers))
        yield found


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


def _checked(
    name: str,
    server: Process,
    ask: Callable[[int, Case, str | None], Ask],
    answers: frozenset[Case],
    *,
    viewers: int,
) -> Contender:
    """Finds the cursors by asking, and looks at answers: a quick refusal is no speed. Raises RuntimeError."""
    cursors = {}
    case = next(case for case in CASES if case.first == 50 and case in answers)
    for viewer in range(0, viewers, ONE_IN):
        shown = _shown(answered(server, ask(viewer, case, None)))
        cursors[viewer] = shown[viewer % 50]
    for one in answers:
        after = _shown(answered(server, ask(0, one, cursors[0])))
        if len(after) != one.first:
            raise RuntimeError(f"{name} shows {len(after)} accounts in a {one.name}")
    return Contender(name=name, server=server, ask=ask, answers=answers, cursors=cursors)


def _shown(answer: dict[str, Any]) -> list[str]:
    """The cursors of a page."""
    if "items" in answer:
        return [str(item["id"]) for item in answer["items"]]
    return [edge["cursor"] for edge in answer["accounts"]["edges"]]


def _identity(viewer: int) -> tuple[str, str]:
    return "x-user", str(viewer + 1)


def ask_mercurius(viewer: int, case: Case, after: str | None) -> Ask:
    return ours.list_ask(viewer, case, after)._replace(identity=_identity(viewer))


def _ask_seed(viewer: int, case: Case, after: str | None) -> Ask:
    # Its cursor means "ids below", which of a list with the newest first leaves the beginning: enough to fill a page.
    cursor = f"&cursor={int(after) + 900}" if after else ""
    return Ask("GET", f"/accounts/?limit={case.first}{cursor}", _identity(viewer))


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
    with started([node, PEERS / f"{program}.mjs"], port, processors=SERVER, log=log, env=env) as server:
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
    with started(command, port, processors=SERVER, log=folder / "seed" / "log", env=env) as server:
        yield server


async def peers_store(server: URL, population: Population) -> str:
    """The URL of the peers' database with as many viewers and accounts; made once."""
    name = f"bench_audited_peers_{population.name}"
    url = plain(server.set(database=name))
    admin = await asyncpg.connect(plain(server))
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await admin.execute('DROP DATABASE IF EXISTS "bench_peers_unfinished"')
        await admin.execute('CREATE DATABASE "bench_peers_unfinished"')
        peers = await asyncpg.connect(plain(server.set(database="bench_peers_unfinished")))
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
