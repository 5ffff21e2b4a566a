"""Requests of the client, and that every call ends."""

import asyncio
import re
import socket
import struct
import time
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from tests.tiktok.wire import (
    CALL_NAMES,
    CALLS,
    EXCHANGE,
    REFRESH,
    REVOKE,
    SECRET,
    USER_INFO,
    Call,
    create_client,
    run_tiktok,
)
from tiktok_accounts_gql.tiktok.client import TikTokClient, build_authorization_url
from tiktok_accounts_gql.tiktok.errors import TikTokError, Unavailable, UnreadableReply
from tiktok_accounts_gql.tiktok.values import TokenGrant

CREDENTIALS = {"client_key": "key-1", "client_secret": SECRET}
every_call = pytest.mark.parametrize("call", CALLS, ids=CALL_NAMES)


async def capture_request(call: Call) -> httpx.Request:
    sent = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(503)

    async with create_client(handle) as client:
        with pytest.raises(Unavailable):
            await call(client)
    [request] = sent
    return request


def exchange_with_verifier(client: TikTokClient) -> Any:
    return client.exchange_code(code="a+b/c=%*&", redirect_uri="http://localhost:8000/back", code_verifier="v" * 43)


@pytest.mark.parametrize(
    ("call", "path", "fields"),
    [
        (
            EXCHANGE,
            "/v2/oauth/token/",
            {"grant_type": "authorization_code", "code": "code-1", "redirect_uri": "https://app.test/back"},
        ),
        (
            exchange_with_verifier,
            "/v2/oauth/token/",
            {
                "grant_type": "authorization_code",
                "code": "a+b/c=%*&",
                "redirect_uri": "http://localhost:8000/back",
                "code_verifier": "v" * 43,
            },
        ),
        (REFRESH, "/v2/oauth/token/", {"grant_type": "refresh_token", "refresh_token": "rft.old"}),
        (REVOKE, "/v2/oauth/revoke/", {"token": "act.old"}),
    ],
    ids=["exchange", "exchange with verifier", "refresh", "revoke"],
)
async def test_a_form_holds_exactly_the_fields_of_its_grant(call: Call, path: str, fields: dict[str, str]) -> None:
    request = await capture_request(call)
    assert (request.method, request.url.path, request.url.query) == ("POST", path, b"")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sorted(parse_qsl(request.content.decode(), strict_parsing=True)) == sorted({**CREDENTIALS, **fields}.items())
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("scopes", "fields"),
    [
        (["user.info.basic"], "open_id,union_id,avatar_url,display_name"),
        (
            ["user.info.stats", "user.info.basic", "video.list"],
            "open_id,union_id,avatar_url,display_name,follower_count,following_count,likes_count,video_count",
        ),
        (["user.info.profile"], "username,bio_description,is_verified,profile_deep_link"),
    ],
)
async def test_user_info_asks_for_the_fields_of_granted_scopes_only(scopes: list[str], fields: str) -> None:
    request = await capture_request(lambda client: client.user_info("act.old", scopes=scopes))
    assert (request.method, request.url.path, request.content) == ("GET", "/v2/user/info/", b"")
    assert dict(request.url.params) == {"fields": fields}
    assert request.headers["authorization"] == "Bearer act.old"


@every_call
async def test_an_error_shows_nothing_of_what_was_sent(call: Call) -> None:
    body = {"error": "invalid_request", "error_description": f"{SECRET} act.old rft.old code-1"}
    async with create_client(lambda _: httpx.Response(400, json=body)) as client:
        assert SECRET not in repr(client)
        with pytest.raises(TikTokError) as raised:
            await call(client)
    text = f"{raised.value} {raised.value!r} {raised.value.__cause__!r}"
    assert not [secret for secret in (SECRET, "act.old", "rft.old", "code-1") if secret in text]


def test_a_grant_does_not_show_its_tokens() -> None:
    grant = TokenGrant(open_id="open-1", access_token="act.x", expires_in=1, refresh_token="rft.y")
    assert "act.x" not in repr(grant)
    assert "rft.y" not in repr(grant)


def test_the_authorization_url_has_every_parameter_once() -> None:
    url = build_authorization_url(
        authorize_url="https://www.tiktok.com/v2/auth/authorize/",
        client_key="key&1",
        redirect_uri="https://app.test/oauth/tiktok/callback",
        scopes=("user.info.basic", "user.info.stats"),
        state="s+ä",
    )
    assert url.partition("?")[0] == "https://www.tiktok.com/v2/auth/authorize/"
    assert sorted(parse_qsl(urlsplit(url).query, strict_parsing=True)) == [
        ("client_key", "key&1"),
        ("disable_auto_auth", "1"),
        ("redirect_uri", "https://app.test/oauth/tiktok/callback"),
        ("response_type", "code"),
        ("scope", "user.info.basic,user.info.stats"),
        ("state", "s+ä"),
    ]


def test_a_code_challenge_is_sent_as_lower_case_hex() -> None:
    challenge = sha256(b"v" * 43).hexdigest()
    url = build_authorization_url(
        authorize_url="https://t.test/",
        client_key="k",
        redirect_uri="r",
        scopes=(),
        state="s",
        code_challenge=challenge,
    )
    sent = dict(parse_qsl(urlsplit(url).query))
    assert (sent["code_challenge"], sent["code_challenge_method"]) == (challenge, "S256")
    assert re.fullmatch("[0-9a-f]{64}", sent["code_challenge"])


async def ambiguity(client: TikTokClient, call: Call) -> bool:
    """Return whether the error of a call without an answer is ambiguous."""
    with pytest.raises(Unavailable) as raised:
        await call(client)
    return raised.value.ambiguous


@every_call
async def test_a_refused_connection_was_certainly_not_served(call: Call) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with TikTokClient.open(api_url=url, client_key="k", client_secret=SecretStr("s")) as client:
        assert await ambiguity(client, call) is False


@every_call
async def test_silence_is_ambiguous_and_ends(call: Call) -> None:
    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    started_at = time.monotonic()
    async with run_tiktok(be_silent, seconds=0.2) as client:
        assert await ambiguity(client, call) is True
    assert time.monotonic() - started_at < 3


@every_call
async def test_a_reset_is_ambiguous(call: Call) -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with run_tiktok(reset) as client:
        assert await ambiguity(client, call) is True


async def test_a_reply_that_breaks_off_is_ambiguous() -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access_token":')
        await writer.drain()

    async with run_tiktok(break_off) as client:
        assert await ambiguity(client, REFRESH) is True


async def test_a_reply_that_is_not_http_is_ambiguous() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n\r\n")
        await writer.drain()

    async with run_tiktok(babble) as client:
        assert await ambiguity(client, REFRESH) is True


async def test_a_dripping_reply_is_ended_by_the_time_for_the_whole_call() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _chunk in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    started_at = time.monotonic()
    async with run_tiktok(drip, seconds=0.4) as client:
        assert await ambiguity(client, USER_INFO) is True
        assert 0.3 < time.monotonic() - started_at < 3


async def test_an_endless_reply_is_not_read_to_its_end() -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
        for _chunk in range(800):
            writer.write(b" " * 65536)
            await writer.drain()
            sent += 65536

    async with run_tiktok(pour) as client:
        with pytest.raises(UnreadableReply):
            await USER_INFO(client)
    assert sent < 20 * 1024 * 1024


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    requests = 0

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: /v2/oauth/token/\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    async with run_tiktok(redirect) as client:
        with pytest.raises(UnreadableReply):
            await REVOKE(client)
    assert requests == 1
