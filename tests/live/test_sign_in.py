"""Where the token of a WebSocket may be, which one counts, and what the close says of it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.live.acting import WATCH_ACCOUNTS
from tests.support.server import Api
from tests.support.sockets import opened, token

MISSING = "A bearer token is required."
EXPIRED = "The bearer token has expired."
GOOD, OLD = "GOOD", "OLD"  # stand for tokens


def filled(api: Api, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: filled(api, one) for key, one in value.items()}
    if isinstance(value, str):
        return value.replace(GOOD, token(api)).replace(OLD, token(api, timedelta(hours=-1)))
    return value


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        pytest.param(None, {"Authorization": "Bearer GOOD"}, id="Authorization"),
        pytest.param(None, {"authorization": "Bearer GOOD"}, id="authorization"),
        pytest.param(None, {"AUTHORIZATION": "bearer GOOD"}, id="in-capitals"),
        pytest.param(None, {"headers": {"Authorization": "Bearer GOOD"}}, id="headers"),
        pytest.param(None, {"Headers": {"authorization": "Bearer GOOD"}}, id="headers-in-another-case"),
        pytest.param(None, {"authToken": "GOOD"}, id="authToken"),
        pytest.param(None, {"authToken": "Bearer GOOD"}, id="authToken-with-its-scheme"),
        pytest.param("Bearer GOOD", None, id="handshake"),
        pytest.param("Bearer GOOD", {}, id="handshake-and-an-empty-payload"),
        pytest.param("Bearer GOOD", {"Authorization": None, "authToken": ""}, id="handshake-and-empty-keys"),
        pytest.param("Bearer GOOD", {"apiKey": "x"}, id="handshake-and-something-else"),
        pytest.param("Bearer OLD", {"Authorization": "Bearer GOOD"}, id="the-payload-before-the-handshake"),
        pytest.param(None, {"Authorization": "", "authToken": "GOOD"}, id="what-is-empty-is-absent"),
        pytest.param(None, {"headers": {}, "authToken": "GOOD"}, id="headers-without-one"),
        pytest.param(None, {"Authorization": "Bearer GOOD", "authToken": "OLD"}, id="Authorization-before-authToken"),
    ],
)
async def test_the_token_may_be_in_several_places(api: Api, header: str | None, payload: Any) -> None:
    sent = {"Authorization": filled(api, header)} if header else {}
    async with opened(api, **sent) as socket:
        await socket.send(type="connection_init", payload=filled(api, payload))
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.subscribe("{ __typename }")
        assert (await socket.error())["message"].startswith("By WebSocket")


@pytest.mark.parametrize(
    ("header", "payload", "reason"),
    [
        pytest.param(None, None, f"payload.Authorization: {MISSING}", id="nothing"),
        pytest.param(None, {"token": GOOD}, f"payload.Authorization: {MISSING}", id="another-key"),
        pytest.param(None, {"Authorization": 1}, f"payload.Authorization: {MISSING}", id="a-number"),
        pytest.param(None, {"Authorization": "Bearer OLD"}, f"payload.Authorization: {EXPIRED}", id="expired"),
        pytest.param(None, {"authToken": OLD}, f"payload.authToken: {EXPIRED}", id="authToken-expired"),
        pytest.param(None, {"authToken": [GOOD]}, f"payload.authToken: {MISSING}", id="authToken-is-a-list"),
        pytest.param(
            None,
            {"headers": {"Authorization": "Bearer OLD"}},
            f"payload.headers.Authorization: {EXPIRED}",
            id="headers-expired",
        ),
        pytest.param(None, {"headers": "Bearer GOOD"}, f"payload.Authorization: {MISSING}", id="headers-are-text"),
        pytest.param("Bearer OLD", None, f"Authorization header: {EXPIRED}", id="handshake-expired"),
        pytest.param("Basic YTpi", {}, "Authorization header: The Authorization header must be", id="handshake-basic"),
        pytest.param(
            "Bearer GOOD", {"Authorization": "Bearer OLD"}, f"payload.Authorization: {EXPIRED}", id="no-second-try"
        ),
        pytest.param(
            None,
            {"Authorization": GOOD},
            "payload.Authorization: The Authorization header must be",
            id="without-Bearer",
        ),
    ],
)
async def test_the_close_names_the_key(api: Api, header: str | None, payload: Any, reason: str) -> None:
    sent = {"Authorization": filled(api, header)} if header else {}
    async with opened(api, **sent) as socket:
        await socket.send(type="connection_init", payload=filled(api, payload))
        await socket.subscribe(WATCH_ACCOUNTS)
        code, said = await socket.closed()
    assert code == 4403
    assert (said or "").startswith(reason)
    assert token(api) not in (said or "")
