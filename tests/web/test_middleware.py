"""Around every answer: other origins, proxies, readiness, failures of the inside, and slow clients."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from tests.support.backends import on_postgresql, on_sqlite
from tests.support.databases import create_database, drop_database, postgres_url
from tests.support.server import Api, serving_api
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.middleware import RequestMiddleware

QUERY = "{ viewer { userId } }"
LISTED, FOREIGN = "https://app.example.com", "https://app.example.com.evil.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest_asyncio.fixture(scope="module")
async def with_origin(settings: Settings) -> AsyncGenerator[Api]:
    async with serving_api(settings.model_copy(update={"allowed_origins": (LISTED,)})) as api:
        yield api


async def test_a_listed_origin_may_ask(with_origin: Api) -> None:
    preflight = await with_origin.http.options("/graphql", headers={"Origin": LISTED, **PREFLIGHT})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == LISTED
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answer = await with_origin.post(QUERY, Origin=LISTED)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


async def test_a_listed_origin_can_read_why_it_is_refused(with_origin: Api) -> None:
    answer = await with_origin.http.post("/graphql", json={"query": QUERY}, headers={"Origin": LISTED})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, LISTED)


@pytest.mark.parametrize("origin", [FOREIGN, "http://app.example.com", "https://app.example.com:444", "null", "*"])
async def test_another_origin_may_not(with_origin: Api, origin: str) -> None:
    preflight = await with_origin.http.options("/graphql", headers={"Origin": origin, **PREFLIGHT})
    answer = await with_origin.post(QUERY, Origin=origin)
    assert preflight.status_code == 400
    assert [one.headers.get("Access-Control-Allow-Origin") for one in (preflight, answer)] == [None, None]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param("apollographql-client-name,apollographql-client-version,authorization,content-type", id="apollo"),
        pytest.param("graphql-preflight,graphql-require-preflight,x-apollo-operation-id", id="other-clients"),
        pytest.param("X-Apollo-Cache-Do-Not-Store, X-Apollo-Operation-Name", id="apollo-for-phones"),
        pytest.param("traceparent,tracestate,baggage", id="w3c"),
        pytest.param("baggage,sentry-trace", id="sentry"),
        pytest.param("x-datadog-trace-id,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-tags", id="datadog"),
        pytest.param("b3,X-B3-TraceId,X-B3-SpanId,X-B3-Sampled,X-B3-Flags", id="zipkin"),
        pytest.param("newrelic,x-cloud-trace-context,x-amzn-trace-id,request-id,request-context", id="vendors"),
        pytest.param("x-requested-with,x-request-id,x-correlation-id", id="what-frameworks-add"),
        pytest.param("cache-control,last-event-id,pragma", id="event-sources"),
        pytest.param("", id="none"),
    ],
)
async def test_headers_of_clients_and_of_tracing_are_allowed(with_origin: Api, names: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names}
    preflight = await with_origin.http.options("/graphql", headers={"Origin": LISTED, **asked})
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, LISTED)
    assert preflight.headers["Access-Control-Allow-Headers"] == names
    sent = {name.strip(): "1" for name in names.split(",") if name and name not in ("authorization", "content-type")}
    answer = await with_origin.post(QUERY, None, Origin=LISTED, **sent)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, LISTED)


async def test_other_headers_are_allowed_by_a_setting(with_origin: Api, settings: Settings) -> None:
    own = settings.model_copy(update={"allowed_origins": (LISTED,), "cors_headers": ("X-Tenant", "X-Own-*")})
    async with serving_api(own) as api:
        for client, names, status in (
            (with_origin, "x-tenant", 400),
            (with_origin, "authorization,x-own-trace", 400),
            (api, "x-tenant,X-OWN-TRACE,traceparent", 200),
            (api, "x-tenants", 400),
            (api, "x-owned", 400),
        ):
            asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": names}
            preflight = await client.http.options("/graphql", headers={"Origin": LISTED, **asked})
            assert preflight.status_code == status, names
            assert ("Access-Control-Allow-Headers" in preflight.headers) == (status == 200)
            foreign = await client.http.options("/graphql", headers={"Origin": FOREIGN, **asked})
            assert (foreign.status_code, foreign.headers.get("Access-Control-Allow-Origin")) == (400, None)


async def test_without_a_list_no_origin_may(settings: Settings) -> None:
    async with serving_api(settings.model_copy(update={"allowed_origins": ()})) as nobodys:
        preflight = await nobodys.http.options("/graphql", headers={"Origin": LISTED, **PREFLIGHT})
    assert preflight.status_code == 400
    assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize("origin", [LISTED, FOREIGN])
async def test_no_origin_may_send_cookies_and_no_answer_is_for_all(with_origin: Api, origin: str) -> None:
    preflight = await with_origin.http.options("/graphql", headers={"Origin": origin, **PREFLIGHT})
    for answer in (preflight, await with_origin.post(QUERY, Origin=origin)):
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers.get("Access-Control-Allow-Origin") != "*"
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "recorded"),
    [
        (("127.0.0.1",), "203.0.113.7", "203.0.113.7"),
        (("127.0.0.1",), "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # what the client claims comes first
        (("127.0.0.1", "203.0.113.7"), "198.51.100.1, 203.0.113.7", "198.51.100.1"),
        (("127.0.0.0/8",), "203.0.113.7", "203.0.113.7"),
        (("10.0.0.1",), "203.0.113.7", "127.0.0.1"),
        ((), "203.0.113.7", "127.0.0.1"),
    ],
)
async def test_only_trusted_proxies_say_where_a_request_is_from(
    settings: Settings, viewer: str, proxies: tuple[str, ...], forwarded: str, recorded: str
) -> None:
    async with serving_api(settings.model_copy(update={"trusted_proxies": proxies}), viewer) as api:
        await api.post("{ accounts { edges { cursor } } }", X_Forwarded_For=forwarded)
        page = await api.data("{ auditEvents(first: 1) { edges { node { action ipAddress } } } }")
    assert page["auditEvents"]["edges"] == [{"node": {"action": "ACCOUNTS_LISTED", "ipAddress": recorded}}]


@on_sqlite
async def test_it_is_not_ready_while_the_tables_are_those_of_another_version(
    settings: Settings, tmp_path: Path
) -> None:
    db = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'own.db'}")
    await migrate(db)
    async with serving_api(
        settings.model_copy(update={"database_url": f"sqlite+aiosqlite:///{tmp_path / 'own.db'}"})
    ) as api:
        assert (await api.http.get("/readyz")).status_code == 200
        async with db.transaction() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = 'other'"))
        answer = await api.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert "tiktok-accounts migrate" in answer.json()["reason"]
        assert (await api.http.get("/livez")).status_code == 200
    await db.close()


@on_postgresql
async def test_it_is_not_ready_while_the_database_is_away(settings: Settings, request: pytest.FixtureRequest) -> None:
    server = postgres_url(request.config)
    url = await create_database(server)
    db = Database.open(url)
    await migrate(db)
    await db.close()
    async with serving_api(settings.model_copy(update={"database_url": url})) as api:
        assert (await api.http.get("/readyz")).status_code == 200
        await drop_database(server, url)
        answer = await api.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert "test_" not in answer.text  # the database's name
        assert (await api.http.get("/livez")).status_code == 200


def behind_the_edge(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> httpx.AsyncClient:
    edge = RequestMiddleware(app, hosts=["testserver"])
    return httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://testserver")


async def test_a_failure_below_the_edge_is_masked_and_logged() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("SELECT secret FROM /inside")

    with capture_logs() as logs:
        async with behind_the_edge(failing) as client:
            answer = await client.get("/anything", headers={"X-Request-ID": "my-id"})
    assert answer.status_code == 500
    [error] = answer.json()["errors"]
    assert error["message"] == "Unexpected error."
    assert error["extensions"].keys() == {"code", "errorId", "requestId"}
    assert (error["extensions"]["code"], error["extensions"]["requestId"]) == ("INTERNAL_SERVER_ERROR", "my-id")
    assert answer.headers["X-Request-ID"] == "my-id"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    unexpected, request = logs
    assert unexpected["error_id"] == error["extensions"]["errorId"]
    assert isinstance(unexpected["exc_info"], RuntimeError)
    assert (request["event"], request["status"]) == ("request", 500)


async def test_a_failure_after_the_answer_began_is_logged_and_adds_nothing() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        begun: Message = {"type": "http.response.start", "status": 200, "headers": []}
        await send(begun)
        raise RuntimeError

    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"testserver")]}
    with capture_logs() as logs:
        await RequestMiddleware(failing, hosts=["testserver"])(scope, receive, send)
    assert sent == ["http.response.start"]
    assert [line["event"] for line in logs] == ["unexpected error", "request"]


async def test_a_connection_that_was_silent_for_a_while_still_answers(api: Api) -> None:
    """Many clients use one again for 5 seconds: a server that closes it then loses requests."""
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port)
    try:
        for silent in (5.5, 0):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            await asyncio.sleep(silent)
    finally:
        writer.close()


async def test_slow_and_idle_clients_do_not_hold_others_up(api: Api) -> None:
    url = api.http.base_url
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token}\r\n"
    body = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    halves = ("", "POST /gra", head, head + body)
    opened = [await asyncio.open_connection(url.host, url.port) for _ in range(200)]
    try:
        for number, (_, writer) in enumerate(opened):
            writer.write(halves[number % len(halves)].encode())
            await writer.drain()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(api.post(QUERY) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
    finally:
        for _, writer in opened:
            writer.close()
