"""Automatic persisted queries: as Apollo's client asks for them, and what cannot be done with them."""

import json
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.live.acting import WATCH_ACCOUNTS
from tests.support.backends import on_sqlite
from tests.support.server import Api, serving
from tests.support.sockets import connected
from tiktok_accounts_gql.app import create_graphql_engine
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.graphql_requests import GraphQLRequest
from tiktok_accounts_gql.web.metrics import Metrics
from tiktok_accounts_gql.web.persisted_queries import VIEWER_SHARE, PersistedQueries, PersistedQueryNotFound

pytestmark = [pytest.mark.usefixtures("backend"), on_sqlite]

GRAPHQL = "application/graphql-response+json"
NOT_FOUND = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")


def new_query(field: str = "userId") -> str:
    """One that nobody has asked before."""
    return f"query Q{uuid4().hex} {{ viewer {{ {field} }} }}"


def extensions(query: str, **changes: Any) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(query.encode()).hexdigest(), **changes}}


async def post(api: Api, body: dict[str, Any], accept: str = GRAPHQL) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.token}", "Accept": accept}
    return await api.http.post("/graphql", json=body, headers=headers)


async def get(api: Api, accept: str = GRAPHQL, **parameters: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.token}", "Accept": accept}
    sent = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return await api.http.get("/graphql", params=sent, headers=headers)


def told(answer: httpx.Response) -> tuple[str, str]:
    [error] = answer.json()["errors"]
    assert "data" not in answer.json()
    return error["message"], error["extensions"]["code"]


@pytest.mark.parametrize("accept", [GRAPHQL, "application/json"])
async def test_a_hash_is_unknown_until_its_query_came_once(api: Api, stranger: Api, accept: str) -> None:
    query = new_query()
    unknown = await post(api, {"extensions": extensions(query)}, accept)
    assert (unknown.status_code, told(unknown)) == (200, NOT_FOUND)
    first = await post(api, {"query": query, "extensions": extensions(query)}, accept)
    assert first.json()["data"] == {"viewer": {"userId": api.viewer}}
    for one in (api, stranger):
        by_hash = await post(one, {"extensions": extensions(query)}, accept)
        assert by_hash.json()["data"] == {"viewer": {"userId": one.viewer}}


async def test_it_is_asked_by_get_as_well(api: Api) -> None:
    query = f"query Q{uuid4().hex}($ids: [ID!]!) {{ nodes(ids: $ids) {{ id }} }}"
    asked: dict[str, Any] = {"variables": {"ids": ["x"]}, "extensions": extensions(query)}
    unknown = await get(api, **asked)
    assert (unknown.status_code, told(unknown), unknown.headers["Cache-Control"]) == (200, NOT_FOUND, "no-store")
    assert (await get(api, query=query, **asked)).json()["data"] == {"nodes": [None]}
    assert (await get(api, **asked)).json()["data"] == {"nodes": [None]}


async def test_one_operation_of_several_is_chosen(api: Api) -> None:
    query = f"query A {{ a: viewer {{ userId }} }} query B{{ b: viewer {{ userId }} }} # {uuid4()}"
    await post(api, {"query": query, "operationName": "A", "extensions": extensions(query)})
    answer = await post(api, {"operationName": "B", "extensions": extensions(query)})
    assert answer.json()["data"] == {"b": {"userId": api.viewer}}


async def test_a_mutation_by_get_stays_refused(api: Api) -> None:
    mutation = f'mutation M{uuid4().hex} {{ syncAccount(input: {{ id: "x" }}) {{ success }} }}'
    sent = await post(api, {"query": mutation, "extensions": extensions(mutation)})
    assert sent.json()["data"]["syncAccount"] == {"success": False}
    assert (await post(api, {"extensions": extensions(mutation)})).json() == sent.json()
    refused = await get(api, extensions=extensions(mutation))
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param("{ viewer { id } }", id="another-query's"),
        pytest.param("", id="the-empty-text's"),
    ],
)
async def test_a_hash_of_something_else_is_refused_and_not_kept(api: Api, lie: str) -> None:
    query = new_query()
    refused = await post(api, {"query": query, "extensions": extensions(lie)})
    assert (refused.status_code, told(refused)[1]) == (400, "PERSISTED_QUERY_MISMATCH")
    assert told(await post(api, {"extensions": extensions(query)})) == NOT_FOUND


async def test_a_known_hash_cannot_be_given_another_query(api: Api, stranger: Api) -> None:
    query = new_query()
    await post(api, {"query": query, "extensions": extensions(query)})
    refused = await post(stranger, {"query": new_query("id"), "extensions": extensions(query)})
    assert told(refused)[1] == "PERSISTED_QUERY_MISMATCH"
    assert (await post(api, {"extensions": extensions(query)})).json()["data"] == {"viewer": {"userId": api.viewer}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("{ viewer {", "GRAPHQL_PARSE_FAILED", id="no-document"),
        pytest.param("{ nothing }", "GRAPHQL_VALIDATION_FAILED", id="invalid"),
        pytest.param("{ " + "a: viewer { id } " * 600 + "}", "LIMIT_EXCEEDED", id="too-large"),
    ],
)
async def test_only_what_is_valid_is_kept(api: Api, query: str, code: str) -> None:
    for _ in range(2):
        assert told(await post(api, {"query": query, "extensions": extensions(query)}))[1] == code
        assert told(await post(api, {"extensions": extensions(query)})) == NOT_FOUND


@pytest.mark.parametrize(
    "persisted",
    [
        pytest.param({"version": 2}, id="another-version"),
        pytest.param({"version": True}, id="a-version-that-is-true"),
        pytest.param({"version": None}, id="no-version"),
        pytest.param({"sha256Hash": "x" * 64}, id="no-hexadecimal-digits"),
        pytest.param({"sha256Hash": "ab " * 21 + "a"}, id="with-blanks"),
        pytest.param({"sha256Hash": "a" * 63}, id="too-short"),
        pytest.param({"sha256Hash": "a" * 100_00}, id="too-long"),
        pytest.param({"sha256Hash": "a" * 64 + "\n"}, id="with-a-line's-end"),
        pytest.param({"sha256Hash": None}, id="no-hash"),
        pytest.param({"sha256Hash": ["a" * 64]}, id="a-list"),
    ],
)
async def test_what_is_no_hash_is_a_mistake(api: Api, persisted: dict[str, Any]) -> None:
    for body in ({}, {"query": "{ viewer { id } }"}):
        refused = await post(api, {**body, "extensions": extensions("{ viewer { id } }", **persisted)})
        assert (refused.status_code, told(refused)[1]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("persisted", [1, "x", [], True])
async def test_what_is_no_object_is_a_mistake(api: Api, persisted: Any) -> None:
    refused = await post(api, {"query": "{ viewer { id } }", "extensions": {"persistedQuery": persisted}})
    assert (refused.status_code, told(refused)[1]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("sent", [{}, {"persistedQuery": None}, {"tracing": True}])
async def test_other_extensions_are_let_be(api: Api, sent: dict[str, Any]) -> None:
    answer = await post(api, {"query": "{ viewer { userId } }", "extensions": sent})
    assert answer.json()["data"] == {"viewer": {"userId": api.viewer}}
    assert told(await post(api, {"extensions": sent}))[1] == "BAD_USER_INPUT"


async def test_capitals_are_the_same_hash_and_more_is_ignored(api: Api) -> None:
    query = new_query()
    digest = extensions(query)["persistedQuery"]["sha256Hash"].upper()
    sent = extensions(query, sha256Hash=digest, miss=True)
    await post(api, {"query": query, "extensions": sent})
    assert "data" in (await post(api, {"extensions": extensions(query)})).json()


async def test_a_socket_knows_them_too(api: Api) -> None:
    query = f"{WATCH_ACCOUNTS} # {uuid4()}"
    async with connected(api) as socket:
        asked: dict[str, Any] = {"extensions": extensions(query)}
        await socket.send(id="1", type="subscribe", payload=asked)
        error = await socket.error()
        assert (error["message"], error["extensions"]["code"]) == NOT_FOUND
        lie = {"query": query, "extensions": extensions("x")}
        await socket.send(id="2", type="subscribe", payload=lie)
        assert (await socket.error("2"))["extensions"]["code"] == "PERSISTED_QUERY_MISMATCH"
        await socket.send(id="3", type="subscribe", payload={"query": query, **asked})
        await socket.send(id="4", type="subscribe", payload=asked)
        assert await socket.silent(0.3)


async def test_lists_are_kept_however_they_are_asked_for(api: Api) -> None:
    query = f"query Q{uuid4().hex} {{ accounts {{ totalCount }} }}"
    assert "hit" not in (await post(api, {"query": query})).headers["Cache-Status"]
    await post(api, {"query": query, "extensions": extensions(query)})
    assert "hit" in (await post(api, {"extensions": extensions(query)})).headers["Cache-Status"]


async def test_another_process_asks_again(api: Api, settings: Settings) -> None:
    query = new_query()
    await post(api, {"query": query, "extensions": extensions(query)})
    async with (
        serving(settings) as url,
        httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as http,
    ):
        other = Api(http=http, settings=settings, viewer=api.viewer)
        assert told(await post(other, {"extensions": extensions(query)})) == NOT_FOUND
        assert "data" in (await post(other, {"query": query, "extensions": extensions(query)})).json()
        assert "data" in (await post(other, {"extensions": extensions(query)})).json()


# What is kept, by the class alone


@pytest.fixture(scope="module")
def store_of() -> Callable[[int], PersistedQueries]:
    engine = create_graphql_engine(development=True, compiled=True, metrics=Metrics())
    return lambda memory: PersistedQueries(engine, max_bytes=memory)


def request(query: str, *, sent: bool = True) -> GraphQLRequest:
    digest = sha256(query.encode()).digest()
    return GraphQLRequest(
        query=query if sent else "", digest=digest, variables=None, operation_name=None, method="POST"
    )


def padded(number: int, length: int = 1000) -> str:
    return "{ viewer { id } } #" + str(number).rjust(length)


async def is_known(store: PersistedQueries, query: str) -> bool:
    try:
        await store.prepare(request(query, sent=False), "anybody")
    except PersistedQueryNotFound:
        return False
    return True


Store = Callable[[int], PersistedQueries]


async def test_one_caller_who_fills_it_takes_nobody_elses_place(store_of: Store) -> None:
    store = store_of(160_000)
    theirs = [padded(number) for number in range(10)]
    for query in theirs:
        await store.prepare(request(query), "app")
    for number in range(1000, 2000):
        await store.prepare(request(padded(number)), "attacker")
    assert all([await is_known(store, query) for query in theirs])
    assert store.used_bytes <= 160_000 // VIEWER_SHARE + sum(sys.getsizeof(query) + 512 for query in theirs)


async def test_what_is_asked_for_outlives_what_is_not(store_of: Store) -> None:
    store = store_of(80_000)
    wanted = padded(0)
    await store.prepare(request(wanted), "app")
    for number in range(1, 500):
        assert await is_known(store, wanted)
        await store.prepare(request(padded(number)), f"viewer-{number}")
    assert store.used_bytes <= 80_000
    assert not await is_known(store, padded(1))


async def test_one_that_is_too_large_is_answered_and_not_kept(store_of: Store) -> None:
    store = store_of(8_000)
    small, large = padded(1, 100), padded(2, 2000)
    for query in (small, large):
        _, prepared = await store.prepare(request(query), "app")
        assert prepared.document is not None
    assert (await is_known(store, small), await is_known(store, large)) == (True, False)


@limits(deadline=None, max_examples=30)  # each new document waits for its turn
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.integers(10, 900)), max_size=60))
async def test_the_bounds_hold_whatever_comes(store_of: Store, asked: list[tuple[int, str, int]]) -> None:
    store = store_of(16_000)
    for number, viewer, length in asked:
        await store.prepare(request(padded(number, length)), viewer)
        assert store.used_bytes <= 16_000
        assert all(0 < used <= 16_000 // VIEWER_SHARE for used in store._used_by_viewer.values())
        assert (
            sum(store._used_by_viewer.values()) == store.used_bytes == sum(one.size for one in store._entries.values())
        )


async def test_an_entry_takes_no_more_than_is_reckoned(store_of: Store) -> None:
    store = store_of(64 * 1024 * 1024)
    queries = [request(padded(number, 200)) for number in range(3000)]
    await store.prepare(request(padded(-1)), "viewer")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    used = store.used_bytes
    for number, one in enumerate(queries):
        text = one.query[:-1] + " "  # a text of its own
        digest = sha256(text.encode()).digest()
        store._put(digest, type(next(iter(store._entries.values())))(text, f"viewer-{number % 50}"))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before <= store.used_bytes - used
