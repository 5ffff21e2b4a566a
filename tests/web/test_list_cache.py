"""Answers about lists that are given again: to whom, for how long, and what is left behind all the same."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select, update
from sqlmodel import col
from structlog.testing import capture_logs

from tests.live.acting import DISCONNECT, SYNC, global_id
from tests.support.rows import account, store
from tests.support.server import Api, serving_api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account, AuditEvent
from tiktok_accounts_gql.schema.build import create_schema
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.authentication import issue_token
from tiktok_accounts_gql.web.list_cache import CACHED_FIELDS
from tiktok_accounts_gql.wiring import Running

LIST = (
    "query Mine($first: Int) { accounts(first: $first) { totalCount edges { node { id displayName followerCount } } } }"
)
SUMMARY = "{ accountsSummary { totalAccounts totalFollowers } }"
BOTH = f"{{ __typename ...Lists }} fragment Lists on Query {{ accounts {{ totalCount }} {SUMMARY[1:-1]} }}"


def status(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    name, _, said = answer.headers["Cache-Status"].partition("; ")
    assert name == "tiktok-accounts"
    return str(said)


def is_hit(answer: httpx.Response) -> bool:
    return status(answer).startswith("hit; ttl=")


@pytest_asyncio.fixture(autouse=True)
async def ready(api: Api) -> None:
    """On PostgreSQL, a server keeps nothing until it hears what others do."""
    async with asyncio.timeout(10):
        while "fwd=bypass" in status(await api.post(SUMMARY)):  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.05)


def said(event: AuditEvent) -> tuple[Any, ...]:
    return event.action, event.account_id, event.actor, event.ip_address, event.details


async def events(running: Running, viewer: str) -> list[AuditEvent]:
    statement = select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer).order_by(col(AuditEvent.id))
    async with running.db.read() as session:
        return list(await session.scalars(statement))


def test_what_is_kept_are_fields_of_the_query() -> None:
    query = create_schema().query_type
    assert query is not None
    assert query.fields.keys() >= CACHED_FIELDS


@pytest.mark.parametrize("query", [LIST, SUMMARY, BOTH])
async def test_the_same_question_is_answered_from_memory(api: Api, running: Running, query: str) -> None:
    await store(running.db, account(api.viewer, follower_count=7))
    first = await api.post(query)
    while not is_hit(again := await api.post(query)):
        first = again  # the change may only have been heard now
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert 0 < int(status(again).removeprefix("hit; ttl=")) <= 300


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { userId } }",
        "{ __typename }",
        "{ auditEvents { edges { cursor } } }",
        "{ accounts { totalCount } viewer { userId } }",
        "{ accounts { totalCount } ...Others } fragment Others on Query { syncJobs { edges { cursor } } }",
        "{ viewer { userId } accounts: viewer { userId } }",
        "{ nodes(ids: []) { id } }",
        "mutation { startAccountAuthorization(input: {}) { authorizationUrl } }",
    ],
)
async def test_nothing_else_is_kept(api: Api, query: str) -> None:
    for _ in range(2):
        assert status(await api.post(query)) == "fwd=bypass"


async def test_an_answer_with_errors_is_not_kept(api: Api, running: Running) -> None:
    await store(running.db, account(api.viewer))
    wrong = '{ accounts { edges { node { statsHistory(from: "2000-01-01T00:00:00Z") { recordedAt } } } } }'
    for _ in range(2):
        answer = await api.post(wrong)
        assert answer.json()["errors"]
        assert status(answer) == "fwd=miss"


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
async def test_refusals_are_not_kept_in_any_media_type(api: Api, accept: str) -> None:
    for query, variables in ((LIST, {"first": 101}), (LIST, {"first": "many"}), ("{ accounts { none } }", None)):
        for _ in range(2):
            answer = await api.post(query, variables, Accept=accept)
            assert answer.json()["errors"]
            assert "hit" not in answer.headers["Cache-Status"]


async def test_an_answer_is_nobody_elses(api: Api, stranger: Api, running: Running) -> None:
    await store(running.db, account(api.viewer, follower_count=7), account(stranger.viewer, follower_count=8))
    await heard(api, 1)
    for _ in range(3):
        assert (await followers(api), await followers(stranger)) == (7, 8)


async def heard(api: Api, accounts: int) -> None:
    """`running` is another process to the server, which hears of changes a moment later; until then it gives what it kept."""
    async with asyncio.timeout(5):
        while (await api.data(SUMMARY))["accountsSummary"]["totalAccounts"] != accounts:
            pass


async def followers(api: Api) -> int:
    total: int = (await api.data(SUMMARY))["accountsSummary"]["totalFollowers"]
    return total


async def test_what_is_asked_in_other_words_is_read(api: Api) -> None:
    two = "query One { accounts { totalCount } } query Two { accountsSummary { totalAccounts } }"
    asked: list[dict[str, Any]] = [
        {"query": LIST},
        {"query": LIST, "variables": {"first": 1}},
        {"query": LIST, "variables": {"first": 2}},
        {"query": LIST, "variables": {"first": None}},
        {"query": f"{LIST} "},
        {"query": two, "operationName": "One"},
        {"query": two, "operationName": "Two"},
    ]
    headers = {"Authorization": f"Bearer {api.token}"}
    for expected in ("fwd=miss; stored", "hit; ttl=300"):
        for body in asked:
            answer = await api.http.post("/graphql", json=body, headers=headers)
            assert status(answer)[:7] == expected[:7], body


async def test_the_order_of_variables_and_the_method_make_no_difference(api: Api) -> None:
    query = "query Q($a: Int, $b: Int) { accounts(first: $a) { totalCount } two: accounts(last: $b) { totalCount } }"
    assert status(await api.post(query, {"a": 1, "b": 2})) == "fwd=miss; stored"
    assert is_hit(await api.post(query, {"b": 2, "a": 1}))
    assert status(await api.post(query)) == "fwd=miss; stored"
    assert is_hit(await api.post(query, {}))
    headers = {"Authorization": f"Bearer {api.token}"}
    parameters = {"query": query, "variables": '{"a": 1, "b": 2}'}
    assert is_hit(await api.http.get("/graphql", params=parameters, headers=headers))


async def test_a_kept_answer_has_the_media_type_that_is_asked_for(api: Api) -> None:
    await api.post(LIST)
    for accept in ("application/json", "application/graphql-response+json"):
        answer = await api.post(LIST, None, Accept=accept)
        assert is_hit(answer)
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
    assert (await api.post(LIST, None, Accept="text/plain")).status_code == 406


async def test_every_kept_answer_is_audited_as_its_own_request(api: Api, running: Running) -> None:
    await store(running.db, *[account(api.viewer, number) for number in range(3)])
    await heard(api, 3)
    await api.post(BOTH, None, X_Request_ID="read")
    before = len(await events(running, api.viewer))
    assert is_hit(await api.post(BOTH, None, X_Request_ID="kept"))
    read, kept = [
        [event for event in await events(running, api.viewer) if event.request_id == one] for one in ("read", "kept")
    ]
    assert len(await events(running, api.viewer)) == before + 2
    assert sorted(map(said, kept), key=str) == sorted(map(said, read), key=str)
    assert {event.action for event in kept} == {"ACCOUNTS_LISTED", "SUMMARY_READ"}
    assert {detail["value"] for event in kept for detail in event.details} == {"3"}
    assert min(event.created_at for event in kept) > max(event.created_at for event in read)


async def test_a_kept_answer_needs_a_token_that_is_valid_now(api: Api, settings: Settings) -> None:
    assert settings.jwt_secret is not None
    await api.post(LIST)
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": f"Bearer {_expired(api)}"}):
        answer = await api.http.post("/graphql", json={"query": LIST}, headers=headers)
        assert answer.status_code == 401


def _expired(api: Api) -> str:
    assert api.settings.jwt_secret is not None
    return issue_token(
        api.settings.jwt_secret,
        subject=api.viewer,
        issuer=api.settings.jwt_issuer,
        audience=api.settings.jwt_audience,
        lifetime=timedelta(minutes=-5),
    )


async def test_the_log_says_hit_or_miss_and_the_request_id_is_the_requests(api: Api) -> None:
    with capture_logs() as logs:
        for name in ("one", "two"):
            answer = await api.post(LIST, None, X_Request_ID=name)
            assert answer.headers["X-Request-ID"] == name
        await api.post("{ viewer { userId } }")
    lines = [line for line in logs if line["event"] == "request"]
    assert [line["cache"] for line in lines] == ["miss", "hit", "bypass"]
    assert [line["operation"] for line in lines] == ["Mine", "Mine", None]
    assert {line["viewer"] for line in lines} == {api.viewer}


async def test_pages_of_other_origins_may_read_it(settings: Settings) -> None:
    async with serving_api(settings, f"viewer-{uuid4().hex}") as api:
        answer = await api.post(LIST, None, Origin="https://app.example.com")
    assert "Cache-Status" in answer.headers["Access-Control-Expose-Headers"]


async def test_whoever_changes_something_sees_it_in_the_next_answer(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    await asyncio.sleep(0.3)  # that was in another process
    for query, path in ((SYNC, "syncAccount"), (DISCONNECT, "disconnectAccount")):
        await api.post(LIST)
        assert is_hit(await api.post(LIST))
        assert (await api.data(query, id=account_id))[path]["userErrors"] == []
        answer = await api.post(LIST)
        assert status(answer) == "fwd=miss; stored"
    assert answer.json()["data"]["accounts"] == {"totalCount": 0, "edges": []}


async def test_a_change_by_another_process_ends_what_is_kept(api: Api, running: Running) -> None:
    """Whoever it is: here, nothing but a statement."""
    [row] = await store(running.db, account(api.viewer, follower_count=1))
    await asyncio.sleep(0.3)
    for followers in range(2, 6):
        await api.post(SUMMARY)
        assert is_hit(await api.post(SUMMARY))
        async with running.db.transaction() as session:
            changed = update(Account).where(col(Account.id) == row.id).values(follower_count=followers)
            await session.execute(changed)
        async with asyncio.timeout(5):
            while is_hit(answer := await api.post(SUMMARY)):
                assert running.db.engines[0].dialect.name == "postgresql"  # on SQLite it is seen at once
        assert answer.json()["data"]["accountsSummary"]["totalFollowers"] == followers


@pytest_asyncio.fixture(scope="module")
async def without(settings: Settings) -> AsyncGenerator[Api]:
    async with serving_api(settings.model_copy(update={"list_cache_seconds": 0})) as api:
        yield api


async def test_it_can_be_turned_off(without: Api, viewer: str) -> None:
    api = Api(http=without.http, settings=without.settings, viewer=viewer)
    for _ in range(2):
        assert "Cache-Status" not in (await api.post(LIST)).headers


async def test_an_answer_is_kept_for_so_long_and_no_longer(settings: Settings, viewer: str) -> None:
    async with serving_api(settings.model_copy(update={"list_cache_seconds": 1}), viewer) as api:
        async with asyncio.timeout(20):
            while not is_hit(await api.post(LIST)):
                continue
            while is_hit(answer := await api.post(LIST)):
                assert status(answer) in ("hit; ttl=1", "hit; ttl=0")
    assert status(answer) == "fwd=miss; stored"
