"""What a client is told of failures: nothing of the inside, and whether to try again.

The failures are real ones, in databases of the tests' own: a table that is gone, a database that is away.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from structlog.testing import capture_logs

from tests.cli.serving import run_server
from tests.support.backends import on_postgresql
from tests.support.databases import own_database, postgres_url
from tests.support.rows import account, store
from tests.support.server import Api, serving
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context

NEEDLE = "needle-that-nobody-may-see"
SEARCH = "query Search($search: String) { accounts(filter: { search: $search }) { totalCount } }"
SYNC = "mutation Sync($id: ID!) { syncAccount(input: { id: $id }) { success } }"
INSIDE = ("SELECT", "FROM", "sql", "accounts_gql", "asyncpg", ".py", "Traceback", "relation", "no such", NEEDLE)


@pytest_asyncio.fixture
async def own(
    settings: Settings, backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncGenerator[Settings]:
    """Settings with a migrated database that a test may break."""
    async with own_database(backend, request.config, tmp_path) as url:
        yield settings.model_copy(update={"database_url": url})


@pytest_asyncio.fixture
async def db(own: Settings) -> AsyncGenerator[Database]:
    db = Database.open(own.database_url)
    yield db
    await db.close()


@pytest_asyncio.fixture
async def api(own: Settings, viewer: str) -> AsyncGenerator[Api]:
    async with serving(own) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client:
        yield Api(http=client, settings=own, viewer=viewer)


async def lose(db: Database, table: str) -> None:
    async with db.transaction() as session:
        await session.execute(text(f"ALTER TABLE {table} RENAME TO lost"))


@pytest.mark.parametrize(
    ("table", "query"),
    [
        ("accounts", SEARCH),
        ("accounts", "{ accountsSummary { totalAccounts } }"),
        ("accounts", "query A($id: ID!) { account(id: $id) { displayName } }"),
        ("accounts", "query N($id: ID!) { node(id: $id) { id } }"),
        ("accounts", SYNC),
        ("accounts", "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { disconnectedAccountId } }"),
        ("snapshots", "query A($id: ID!) { account(id: $id) { statsHistory { followerCount } } }"),
        ("token_pairs", SYNC),
        ("audit_events", "{ accounts { totalCount } }"),
        ("audit_events", "{ auditEvents { edges { cursor } } }"),
    ],
)
async def test_an_unexpected_failure_tells_nothing_but_its_id(api: Api, db: Database, table: str, query: str) -> None:
    [row] = await store(db, account(api.viewer))
    await lose(db, table)
    variables = {"id": ids.encode(ids.NodeKind.ACCOUNT, row.id), "search": NEEDLE}
    with capture_logs() as logs:
        answer = await api.post(query, variables, X_Request_ID="my-id")
    assert answer.status_code == 200
    [error] = answer.json()["errors"]
    assert error["message"] == "Unexpected error."
    assert error["extensions"].keys() == {"code", "errorId", "requestId"}
    assert (error["extensions"]["code"], error["extensions"]["requestId"]) == ("INTERNAL_SERVER_ERROR", "my-id")
    assert [word for word in (*INSIDE, api.token) if word in answer.text] == []
    logged = [line for line in logs if line["event"] == "unexpected error"]
    assert [line["error_id"] for line in logged] == [error["extensions"]["errorId"]]


async def test_other_fields_are_answered(api: Api, db: Database) -> None:
    [row] = await store(db, account(api.viewer))
    await lose(db, "accounts")
    query = "query A($id: ID!) { account(id: $id) { id } viewer { userId } }"
    with capture_logs():
        answer = (await api.post(query, {"id": ids.encode(ids.NodeKind.ACCOUNT, row.id)})).json()
    assert answer["data"] == {"account": None, "viewer": {"userId": api.viewer}}
    assert [error["path"] for error in answer["errors"]] == [["account"]]


async def test_each_failure_has_an_id_of_its_own(api: Api, db: Database) -> None:
    await lose(db, "accounts")
    with capture_logs() as logs:
        answer = await api.post(f"mutation Both($id: ID!) {{ a: {_sync()} b: {_sync()} }}", {"id": _any_id()})
    told = {error["extensions"]["errorId"] for error in answer.json()["errors"]}
    assert len(told) == 2
    assert {line["error_id"] for line in logs if line["event"] == "unexpected error"} == told


def _sync() -> str:
    return "syncAccount(input: { id: $id }) { success }"


def _any_id() -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account("nobody").id)


async def test_the_log_has_the_cause_under_that_id_and_no_secret(
    own: Settings, db: Database, viewer: str, tmp_path: Path
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    production = own.model_copy(update={"environment": "production"})
    async with run_server(folder, production, viewer) as (server, api):
        await lose(db, "accounts")
        error = await api.error(SEARCH, search=NEEDLE)
        log = server.err.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    [line] = [line for line in lines if line.get("error_id") == error["extensions"]["errorId"]]
    assert line["request_id"] == error["extensions"]["requestId"]
    assert "accounts" in line["exception"][-1]["exc_value"]
    assert [secret for secret in (api.token, NEEDLE, viewer) if secret in json.dumps(line)] == []


@asynccontextmanager
async def administrator(config: pytest.Config) -> AsyncGenerator[AsyncConnection]:
    url = make_url(postgres_url(config)).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def terminate(connection: AsyncConnection, database: str | None) -> None:
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    await connection.execute(text(statement), {"name": database})


def outcome(answer: httpx.Response) -> str:
    errors: list[dict[str, Any]] = answer.json().get("errors", [])
    return ", ".join(sorted({error["extensions"]["code"] for error in errors})) or "answered"


@on_postgresql
async def test_connections_that_break_under_load_are_said_to_be_so_and_heal(
    api: Api, own: Settings, db: Database, request: pytest.FixtureRequest
) -> None:
    await store(db, *[account(api.viewer, number) for number in range(10)])
    await db.close()
    outcomes: Counter[str] = Counter()
    ended = asyncio.Event()

    async def read() -> None:
        while not ended.is_set():
            outcomes[outcome(await api.post(SEARCH))] += 1

    with capture_logs() as logs:
        reading = [asyncio.create_task(read()) for _ in range(8)]
        async with administrator(request.config) as connection:
            for _ in range(8):
                await asyncio.sleep(0.1)
                await terminate(connection, make_url(own.database_url).database)
        ended.set()
        await asyncio.gather(*reading)
        healed = [outcome(await api.post(SEARCH)) for _ in range(30)]
    assert outcomes.keys() == {"answered", "SERVICE_UNAVAILABLE"}
    assert healed[-20:] == ["answered"] * 20
    assert [line for line in logs if line["event"] == "unexpected error"] == []


@on_postgresql
async def test_a_database_that_is_gone_is_said_to_be_so_and_heals(
    api: Api, own: Settings, request: pytest.FixtureRequest
) -> None:
    name = make_url(own.database_url).database
    assert outcome(await api.post(SEARCH)) == "answered"
    async with administrator(request.config) as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        await terminate(connection, name)
        await connection.execute(text(f'ALTER DATABASE "{name}" RENAME TO "{name}_gone"'))
        for query in (SEARCH, "{ auditEvents { edges { cursor } } }", SYNC):
            answer = await api.post(query, {"id": _any_id()})
            [error] = answer.json()["errors"]
            assert (answer.status_code, answer.json()["data"]) in ((200, None), (200, {"syncAccount": None}))
            assert error["message"] == "The database does not answer. Try again later."
            assert error["extensions"].keys() == {"code", "requestId"}
            assert error["extensions"]["code"] == "SERVICE_UNAVAILABLE"
        await connection.execute(text(f'ALTER DATABASE "{name}_gone" RENAME TO "{name}"'))
        await connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    assert outcome(await api.post(SEARCH)) == "answered"
