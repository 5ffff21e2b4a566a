"""Requests that two servers could read in two ways, and values that nobody wants to store."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.serving import requests_in, run_server
from tests.connecting.flows import authorize, send_callback
from tests.support.backends import on_sqlite
from tests.support.raw import raw, request
from tests.support.server import Api, serving_api
from tiktok_accounts_gql.settings import CALLBACK_PATH, Settings
from tiktok_accounts_gql.web.allowed_hosts import build_host_check

QUERY = '{"query": "{ viewer { userId } }"}'
NAMES = ("accounts.example.com", "localhost", "127.0.0.1", "[::1]", "2001:db8::1", "*.example.org", "")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost:8000", True),
        ("127.0.0.1:", True),  # RFC 3986: a port may be empty
        ("[::1]", True),
        ("[::1]:8000", True),
        ("[2001:DB8::1]:443", True),
        ("a.example.org", True),
        ("a.b.example.org:1", True),
        ("example.org", False),
        ("xexample.org", False),
        ("1", False),
        (":", False),
        ("::1", False),
        ("[::1", False),
        ("[::1%25eth0]", False),
        ("[::1]x", False),
        ("localhost.", False),
        ("localhost:80:80", False),
        ("localhost:x", False),
        ("localhost:123456", False),
        ("user@localhost", False),
        ("localhost@evil.example", False),
        ("localhost evil.example", False),
        ("localhost,evil.example", False),
        ("evil.example/.example.org", False),
        ("localhost\x00", False),
        ("", False),
        ("*", False),
        ("a" * 10_000 + ".example.org", False),
    ],
)
def test_hosts_are_exact(host: str, own: bool) -> None:
    assert build_host_check(NAMES)(host.encode()) is own


@pytest.mark.parametrize(
    ("host", "status"), [("1", 400), ("localhost.", 400), ("[::1]:8000", 404), ("user@localhost", 400)]
)
async def test_another_host_gets_nothing(api: Api, host: str, status: int) -> None:
    async with raw(api) as client:
        await client.send(request("GET", "/nothing", host=host))
        assert (await client.answer()).status == status


@pytest.mark.parametrize(
    ("again", "status"),
    [
        pytest.param("Host: localhost", 400, id="host"),
        pytest.param("Authorization: Bearer another", 400, id="authorization"),
        pytest.param("AUTHORIZATION: Bearer another", 400, id="authorization-in-capitals"),
        pytest.param("Content-Length: 34", 400, id="content-length"),
        pytest.param("Accept: application/json", 200, id="accept"),
        pytest.param("X-Request-ID: another", 200, id="request-id"),
    ],
)
async def test_what_may_stand_once_is_refused_twice(api: Api, again: str, status: int) -> None:
    headers = ("Content-Type: application/json", f"Authorization: Bearer {api.token}", "Accept: */*", "X-Request-ID: a")
    async with raw(api) as client:
        await client.send(request("POST", "/graphql", *headers, again, body=QUERY))
        answer = await client.answer()
    assert answer.status == status
    if status == 400:
        assert answer.code == "BAD_USER_INPUT"


@pytest.mark.parametrize("upgrade", ["h2c", "websockets", "TLS/1.0", "h2c, websocket"])
@pytest.mark.parametrize("apart", [True, False])
async def test_a_body_survives_an_upgrade_that_is_ignored(api: Api, upgrade: str, apart: bool) -> None:
    headers = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    signed = ("Content-Type: application/json", f"Authorization: Bearer {api.token}")
    data = request("POST", "/graphql", *headers, *signed, body=QUERY)
    async with raw(api) as client:
        for _ in range(2):
            for part in (data[:-10], data[-10:]) if apart else (data,):
                await client.send(part)
            assert (await client.answer()).body["data"] == {"viewer": {"userId": api.viewer}}


async def test_the_body_of_an_upgrade_is_never_taken_for_a_request(api: Api) -> None:
    smuggled = request("GET", "/livez").decode()
    head = request("POST", "/nothing", "Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(smuggled)}")
    async with raw(api) as client:
        await client.send(head)
        await client.send(smuggled.encode())
        assert (await client.answer()).status == 404
        await client.send(request("GET", "/nothing", "Connection: close"))
        assert (await client.answer()).status == 404
        assert await client.ends() == b""


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param("CONNECT localhost:80 HTTP/1.1", 400, id="connect"),
        pytest.param("GET /livez HTTP/1.1 HTTP/1.1", 400, id="two-versions"),
        pytest.param("GET /livez HTTP/9.9", 400, id="another-version"),
        pytest.param("PRI * HTTP/2.0", 400, id="http2"),
        pytest.param("\x16\x03\x01\x02\x00\x01", 400, id="tls"),
    ],
)
async def test_what_is_no_request_is_told_so_in_json(api: Api, line: str, status: int) -> None:
    async with raw(api) as client:
        await client.send(f"{line}\r\nHost: localhost\r\n\r\n".encode("latin-1"))
        answer = await client.answer()
        assert (answer.status, answer.code) == (status, "BAD_USER_INPUT")
        assert await client.ends() == b""


@pytest.mark.parametrize(
    ("forwarded", "stored"),
    [
        pytest.param("203.0.113.7", "203.0.113.7", id="an-address"),
        pytest.param("203.0.113.7:4711", "203.0.113.7", id="with-a-port"),
        pytest.param("[2001:DB8::7]:4711", "2001:db8::7", id="ipv6"),
        pytest.param("1" * 10_000, None, id="10000-characters"),
        pytest.param("<script>alert(1)</script>", None, id="script"),
        pytest.param("fe80::1%<script>", None, id="a-zone"),
        pytest.param("unknown", None, id="unknown"),
        pytest.param("203.0.113.7.", None, id="nearly"),
    ],
)
async def test_the_audit_has_an_address_or_nothing(
    settings: Settings, viewer: str, forwarded: str, stored: str
) -> None:
    async with serving_api(settings, viewer) as api:
        await api.post("{ accounts { edges { cursor } } }", X_Forwarded_For=forwarded)
        page = await api.data("{ auditEvents(first: 1) { edges { node { ipAddress } } } }")
    assert page["auditEvents"]["edges"] == [{"node": {"ipAddress": stored}}]


@on_sqlite
async def test_values_in_the_log_have_200_characters(own_settings: Settings, viewer: str, tmp_path: Path) -> None:
    async with run_server(tmp_path, own_settings, viewer) as (server, api):
        named = f"query {'a' * 20_000} {{ viewer {{ userId }} }}"
        assert (await api.post(named)).status_code == 200
        assert (await api.http.get("/" + "b" * 20_000)).status_code == 404
        async with raw(api) as client:
            await client.send(request("F" * 20, "/c"))
            await client.answer()
        lines = requests_in(server.err)
    assert lines[0]["operation"] == "a" * 199 + "…"
    assert lines[1]["path"] == "/" + "b" * 198 + "…"
    assert all(len(value) <= 200 for line in lines for value in line.values() if isinstance(value, str))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
async def test_only_get_uses_a_state_up(api: Api, method: str) -> None:
    """Whoever previews a link asks for its head."""
    answer = await authorize(api, f"user-{uuid4().hex}")
    looked = await api.http.request(method, CALLBACK_PATH, params=answer)
    assert (looked.status_code, looked.headers["Cache-Control"]) == (200 if method == "HEAD" else 405, "no-store")
    assert looked.content == b"" or method != "HEAD"
    page = await send_callback(api.http, answer)
    assert (page.status_code, "is connected" in page.text) == (200, True)
