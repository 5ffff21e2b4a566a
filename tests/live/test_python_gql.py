"""Python's client gql: queries over httpx, subscriptions over websockets, and how it signs in there."""

from typing import Any

import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.live.acting import WATCH_JOB, many, start_job
from tests.support.backends import on_sqlite
from tests.support.server import Api
from tests.support.sockets import address, token
from tests.support.tiktok import TikTok

pytestmark = on_sqlite


def by_http(api: Api) -> Client:
    url = str(api.http.base_url.join("/graphql"))
    headers = {"Authorization": f"Bearer {api.token}"}
    return Client(transport=HTTPXAsyncTransport(url, headers=headers, trust_env=False))


def by_socket(api: Api, **how: Any) -> Client:
    transport = WebsocketsTransport(address(api), connect_args={"proxy": None}, **how)
    return Client(transport=transport)


async def test_it_asks_over_http(api: Api) -> None:
    async with by_http(api) as session:
        query = gql(
            "query Q($after: String, $ids: [ID!]!) { accounts(after: $after) { totalCount } nodes(ids: $ids) { id } }"
        )
        query.variable_values = {"after": "", "ids": ["garbage"]}
        assert await session.execute(query) == {"accounts": {"totalCount": 0}, "nodes": [None]}
        with pytest.raises(TransportQueryError) as refused:
            await session.execute(gql("{ accounts(first: 51) { totalCount } }"))
        [error] = refused.value.errors or []
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("way", ["init_payload", "init_headers", "init_token", "handshake"])
async def test_it_subscribes_however_it_signs_in(api: Api, tiktok: TikTok, way: str) -> None:
    bearer = f"Bearer {token(api)}"
    how: dict[str, dict[str, Any]] = {
        "init_payload": {"init_payload": {"Authorization": bearer}},
        "init_headers": {"init_payload": {"headers": {"Authorization": bearer}}},
        "init_token": {"init_payload": {"authToken": token(api)}},
        "handshake": {"headers": {"Authorization": bearer}},
    }
    job_id = await start_job(api, ids=await many(tiktok, api.viewer, 2))
    query = gql(WATCH_JOB)
    query.variable_values = {"id": job_id}
    async with by_socket(api, **how[way]) as session:
        jobs = [told["syncJobUpdated"] async for told in session.subscribe(query)]
    assert jobs[-1]["succeededCount"] == 2


async def test_it_is_told_which_key_is_missing(api: Api) -> None:
    with pytest.raises(TransportConnectionFailed) as refused:
        async with by_socket(api, init_payload={"token": token(api)}):
            raise AssertionError
    assert "payload.Authorization" in f"{refused.value} {refused.value.__cause__}"
