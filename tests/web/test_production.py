"""What production does not offer: introspection, suggestions, GraphiQL."""

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.support.backends import on_sqlite
from tests.support.server import Api, serving
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.graphiql.page import STATIC

pytestmark = on_sqlite

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FILES = [f"/graphql/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*") if file.is_file()]


@pytest_asyncio.fixture(scope="module")
async def production(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    own = settings.model_copy(update={"environment": "production"})
    async with serving(own) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client:
        yield client


@pytest.fixture
def api(production: httpx.AsyncClient, settings: Settings, viewer: str) -> Api:
    return Api(http=production, settings=settings, viewer=viewer)


async def test_queries_are_answered(api: Api) -> None:
    data = await api.data("{ __typename viewer { __typename userId } }")
    assert data == {"__typename": "Query", "viewer": {"__typename": "Viewer", "userId": api.viewer}}


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Viewer") { fields { name } } }',
        "{ ...F } fragment F on Query { __schema { queryType { name } } }",
        "{ alias: __schema { description } viewer { id } }",
    ],
)
async def test_introspection_is_refused(api: Api, query: str) -> None:
    answer = await api.post(query)
    assert answer.status_code == 400
    assert "data" not in answer.json()
    assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    ("query", "unsaid"),
    [
        ("{ account { id } viewr { id } }", "viewer"),
        ("{ viewer { userID } }", "userId"),
        ("{ accounts(frist: 1) { totalCount } }", "first"),
        ("{ accounts(filter: { statuss: [ACTIVE] }) { totalCount } }", "status"),
        ("{ accounts(filter: { status: [ACTIV] }) { totalCount } }", "ACTIVE"),
        ("{ ... on Quer { viewer { id } } }", "Query"),
        ("query Q($f: AccountFilte) { accounts(filter: $f) { totalCount } }", "AccountFilter"),
        ("{ viewer @skipp(if: true) { id } }", "skip"),
    ],
)
async def test_messages_suggest_nothing(api: Api, query: str, unsaid: str) -> None:
    answer = await api.post(query)
    assert answer.status_code == 400
    messages = [error["message"] for error in answer.json()["errors"]]
    assert [message for message in messages if "Did you mean" in message or f'"{unsaid}"' in message] == []


async def test_variables_suggest_nothing(api: Api) -> None:
    query = "query Q($f: AccountFilter) { accounts(filter: $f) { totalCount } }"
    for given in ({"statuss": ["ACTIVE"]}, {"status": ["ACTIV"]}):
        answer = await api.post(query, {"f": given})
        assert (answer.status_code, "Did you mean" in answer.text) == (400, False)


async def test_graphiql_is_not_there(api: Api) -> None:
    headers = {"Accept": BROWSER, "Authorization": f"Bearer {api.token}"}
    answer = await api.http.get("/graphql", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/json")
    answer = await api.http.get("/graphql", headers={**headers, "Accept": "text/html"})
    assert answer.status_code == 406
    answer = await api.http.get("/graphql", headers={"Accept": BROWSER})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/graphql/static", "/graphql/static/", *FILES])
async def test_graphiqls_files_are_not_there(api: Api, path: str) -> None:
    answer = await api.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
