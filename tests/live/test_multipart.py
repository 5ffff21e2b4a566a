"""Subscriptions over HTTP, in the parts that Apollo's clients take."""

import asyncio
import json
from uuid import uuid4

import pytest

from tests.live.acting import WATCH_ACCOUNTS, WATCH_JOB, disconnect, global_id, many, start_job
from tests.support.backends import on_sqlite
from tests.support.server import Api
from tests.support.sockets import ENDING, PARTS, parts, streamed
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.web.multipart import HEARTBEAT_SECONDS

pytestmark = on_sqlite


async def test_the_bytes_are_those_of_the_protocol(api: Api) -> None:
    job_id = await start_job(api, filter={"search": "nobody"})
    async with streamed(api, "subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }", {"id": job_id}) as response:
        body = await response.aread()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-ID"]
    payload = json.dumps(
        {"payload": {"data": {"syncJobUpdated": {"id": job_id}}, "extensions": {"cost": 2}}}, separators=(",", ":")
    )
    expected = f"--graphql\r\nContent-Type: application/json\r\n\r\n{payload}\r\n--graphql--\r\n"
    assert body == expected.encode()


async def test_a_job_is_told_until_it_ends(api: Api, tiktok: TikTok) -> None:
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 10))
    async with streamed(api, WATCH_JOB, {"id": job_id}) as response:
        jobs = [one["payload"]["data"]["syncJobUpdated"] async for one in parts(response) if one]
    assert jobs[-1]["succeededCount"] == 10
    assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)


async def test_a_part_is_there_before_the_next_one(api: Api, tiktok: TikTok) -> None:
    account_id = global_id((await tiktok.connect(api.viewer)).id)
    async with streamed(api, WATCH_ACCOUNTS) as response, asyncio.timeout(HEARTBEAT_SECONDS - 1):
        await asyncio.sleep(0.3)
        await disconnect(api, account_id)
        told = await anext(parts(response))
    assert told["payload"]["data"]["accountChanged"]["accountId"] == account_id


async def test_a_heart_beats_while_nothing_happens(api: Api) -> None:
    async with streamed(api, WATCH_ACCOUNTS) as response, asyncio.timeout(HEARTBEAT_SECONDS + 2):
        assert await anext(parts(response)) == {}


async def test_it_ends_when_the_token_expires(api: Api) -> None:
    async with streamed(api, WATCH_ACCOUNTS, lifetime=ENDING) as response, asyncio.timeout(4):
        [end] = [one async for one in parts(response)]
    assert end["payload"] is None
    assert end["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert response.is_closed


async def test_an_unknown_job_is_not_found(api: Api) -> None:
    unknown = ids.encode(ids.NodeKind.SYNC_JOB, uuid4())
    async with streamed(api, WATCH_JOB, {"id": unknown}) as response:
        body = json.loads(await response.aread())
    assert response.status_code == 200
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("subscription {", 200, "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", 200, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription S($id: ID!) { syncJobUpdated(id: $id) { id } }", 200, "BAD_USER_INPUT"),
    ],
)
async def test_what_cannot_begin_is_refused_as_any_request(api: Api, query: str, status: int, code: str) -> None:
    async with streamed(api, query) as response:
        body = json.loads(await response.aread())
    assert (response.status_code, body["errors"][0]["extensions"]["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_it_needs_a_token(api: Api) -> None:
    answer = await api.http.post("/graphql", json={"query": WATCH_ACCOUNTS}, headers={"Accept": PARTS})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "accept", ["application/json", "*/*", "multipart/mixed", "multipart/mixed;deferSpec=20220824, application/json"]
)
async def test_nobody_gets_parts_who_does_not_ask_for_them(api: Api, accept: str) -> None:
    answer = await api.post(WATCH_ACCOUNTS, Accept=accept)
    assert answer.status_code == 406
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/mixed;subscriptionSpec="1.0", application/json',
        "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9",
        "multipart/mixed; boundary=graphql; subscriptionSpec=1.0",
    ],
)
async def test_all_of_apollos_ways_to_ask_are_understood(api: Api, accept: str) -> None:
    job_id = await start_job(api, filter={"search": "nobody"})
    answer = await api.post(WATCH_JOB, {"id": job_id}, Accept=accept)
    assert answer.headers["Content-Type"].startswith("multipart/mixed;")


async def test_a_query_with_the_same_header_is_answered_as_ever(api: Api) -> None:
    answer = await api.post("{ viewer { userId } }", Accept=PARTS)
    assert (answer.status_code, answer.json()["data"]["viewer"]["userId"]) == (200, api.viewer)


async def test_by_get_nothing_is_watched(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Accept": PARTS}
    answer = await api.http.get("/graphql", params={"query": WATCH_ACCOUNTS}, headers=headers)
    assert answer.status_code == 405
