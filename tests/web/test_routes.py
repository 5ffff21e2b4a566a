"""Every route answers what goes wrong in the edge's JSON, whatever is asked, and while the database is away."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from starlette.routing import Route

from tests.support.backends import on_postgresql, on_sqlite
from tests.support.databases import create_database, drop_database, postgres_url
from tests.support.raw import Answer, raw, request
from tests.support.server import Api, serving_api
from tests.support.webhooks import removal, signature
from tiktok_accounts_gql.app import create_routes
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import migrate
from tiktok_accounts_gql.settings import CALLBACK_PATH, START_PATH, Settings
from tiktok_accounts_gql.web.metrics import Metrics

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO")
AVATAR = "/avatars/VHdlbnR5/0123456789abcdef"
PATHS = {
    "/graphql": "/graphql?query={viewer{userId}}",
    START_PATH: f"{START_PATH}?state=a",
    CALLBACK_PATH: f"{CALLBACK_PATH}?state=a&code=b",
    "/webhooks/tiktok": "/webhooks/tiktok",
    "/avatars/{account}/{content_hash}": AVATAR,
    "/livez": "/livez",
    "/readyz": "/readyz",
    "/metrics": "/metrics",
}
ODD = (
    *("/graphql/", "/graphql//", "//graphql", "//", "/", "/%00", "/livez/", "/livez%00", "/avatars/%00/%00", "/%ff"),
    *("/avatars/a/b/c", "/avatars/../livez", f"{AVATAR}%00", "/nothing?" + "a" * 1000, "/livez;a", "*", "nothing"),
    *("http://localhost/nothing", "http://localhost", "/\u00e4".encode().decode("latin-1"), "/nothing#a", "?"),
)


@pytest_asyncio.fixture(scope="module")
async def without_database(settings: Settings, request: pytest.FixtureRequest) -> AsyncGenerator[Api]:
    """A server in production whose database has gone."""
    server = postgres_url(request.config)
    url = await create_database(server)
    db = Database.open(url)
    await migrate(db)
    await db.close()
    async with serving_api(settings.model_copy(update={"database_url": url, "environment": "production"})) as api:
        await drop_database(server, url)
        yield api


async def asked(api: Api, method: str, path: str, *headers: str, body: str = "") -> Answer:
    async with raw(api) as client:
        data = request(method, path, *headers, "Connection: close", body=body)
        await client.send(data.decode().encode("latin-1") if "\u00e4" in path else data)
        return await client.answer(head=method == "HEAD")


def check(answer: Answer, method: str) -> None:
    """That it is the edge's."""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]
    if answer.status >= 400:
        assert answer.headers["content-type"] in ("application/json; charset=utf-8", "text/html; charset=utf-8")
    if answer.status >= 400 and method != "HEAD" and "json" in answer.headers["content-type"]:
        assert answer.body.keys() == {"errors"} or answer.body.keys() == {"status", "reason"}
        if "errors" in answer.body:
            assert answer.code


def test_every_route_is_looked_at() -> None:
    found = {route.path for route in create_routes(Metrics(), None) if isinstance(route, Route)}
    assert {"/graphql", *found} == PATHS.keys()


@on_sqlite
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS.values())
async def test_a_route_answers_any_method_as_the_edge_does(api: Api, method: str, path: str) -> None:
    answer = await asked(api, method, path)
    check(answer, method)
    assert answer.status != 500
    if answer.status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ODD)
@on_sqlite
async def test_an_odd_path_is_answered_as_the_edge_does(api: Api, method: str, path: str) -> None:
    answer = await asked(api, method, path)
    check(answer, method)
    assert answer.status in (400, 404, 405), answer


AWAY = [
    ("GET", AVATAR, 503),
    ("GET", f"{START_PATH}?state=a", 503),
    ("HEAD", f"{START_PATH}?state=a", 200),
    ("GET", f"{CALLBACK_PATH}?state=a&code=b", 503),
    ("HEAD", f"{CALLBACK_PATH}?state=a&code=b", 200),
    ("POST", "/webhooks/tiktok", 401),
    ("GET", "/livez", 200),
    ("GET", "/readyz", 503),
    ("GET", "/metrics", 200),
    ("GET", "/nothing", 404),
]


@on_postgresql
@pytest.mark.parametrize(("method", "path", "status"), AWAY)
async def test_while_the_database_is_away_a_route_answers_as_the_edge_does(
    without_database: Api, method: str, path: str, status: int
) -> None:
    answer = await asked(without_database, method, path)
    check(answer, method)
    assert answer.status == status, answer


@on_postgresql
async def test_a_webhook_of_tiktoks_is_not_taken_while_the_database_is_away(without_database: Api) -> None:
    body = removal("somebody").decode()
    signed = f"TikTok-Signature: {signature(body.encode())}"
    answer = await asked(
        without_database, "POST", "/webhooks/tiktok", "Content-Type: application/json", signed, body=body
    )
    check(answer, "POST")
    assert (answer.status, answer.code) == (503, "SERVICE_UNAVAILABLE")


@on_postgresql
async def test_graphql_says_so_while_the_database_is_away(without_database: Api) -> None:
    error = await without_database.error("{ accounts { totalCount } }")
    assert error["extensions"]["code"] == "SERVICE_UNAVAILABLE"
