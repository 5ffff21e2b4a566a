"""One leeway for all: who is let in with a token that has just expired stays for the rest of the leeway."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.live.acting import WATCH_ACCOUNTS
from tests.support.backends import on_sqlite
from tests.support.server import Api
from tests.support.sockets import PROTOCOL, connected, opened, parts, streamed, token

pytestmark = on_sqlite

LEEWAY = 10


async def end_of_socket(api: Api, lifetime: timedelta) -> str:
    async with connected(api, lifetime=lifetime) as socket:
        await socket.subscribe(WATCH_ACCOUNTS)
        code, reason = await socket.closed()
    return f"{code} {reason}"


async def end_of_stream(api: Api, lifetime: timedelta) -> str:
    async with streamed(api, WATCH_ACCOUNTS, lifetime=lifetime) as response:
        assert response.status_code == 200
        ends = [one async for one in parts(response) if one]
    return f"4403 {ends[-1]['errors'][0]['message']}"


@pytest.mark.parametrize("end_of", [end_of_socket, end_of_stream], ids=["socket", "stream"])
@pytest.mark.parametrize("expired", [9, 8.2, 7.5], ids=lambda seconds: f"{seconds} s ago")
async def test_a_token_that_has_expired_is_good_for_the_rest_of_the_leeway(
    api: Api, end_of: Callable[[Api, timedelta], Awaitable[str]], expired: float
) -> None:
    began = time.time()
    assert await end_of(api, -timedelta(seconds=expired)) == "4403 The bearer token has expired."
    # The token counts in whole seconds, and ends on one.
    assert LEEWAY - expired - 1.1 < time.time() - began < LEEWAY - expired + 1.5


async def test_beyond_the_leeway_nothing_accepts_it(api: Api) -> None:
    late = token(api, -timedelta(seconds=LEEWAY + 1))
    answer = await api.http.post(
        "/graphql", json={"query": "{ __typename }"}, headers={"Authorization": f"Bearer {late}"}
    )
    assert answer.status_code == 401
    async with streamed(api, WATCH_ACCOUNTS, lifetime=-timedelta(seconds=LEEWAY + 1)) as response:
        assert response.status_code == 401
    async with opened(api, protocol=PROTOCOL) as socket:
        await socket.send(type="connection_init", payload={"Authorization": f"Bearer {late}"})
        assert (await socket.closed())[0] == 4403
