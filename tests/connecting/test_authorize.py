"""Mutation.startAccountAuthorization"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import httpx
import pytest

from tests.connecting import flows, stored
from tests.connecting.flows import APP_ORIGIN
from tests.connecting.traces import find_traces, read_database
from tests.support.server import Api, serving
from tests.support.tiktok import CLIENT_KEY, TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import connection_attempts
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services


async def test_the_link_leads_to_tiktok_with_everything_that_it_asks_for(api: Api, settings: Settings) -> None:
    begun = await flows.get_start_url(api)
    link = await flows.get_consent_url(api.http, begun)
    sent = flows.parse_query(link)
    assert begun == f"http://localhost:8000/oauth/tiktok/start?state={sent['state']}"
    assert link.startswith(f"{settings.tiktok_authorize_url}?")
    assert len(sent.pop("state")) >= 43
    assert sent == {
        "client_key": CLIENT_KEY,
        "scope": "user.info.basic,user.info.profile,user.info.stats",
        "response_type": "code",
        "redirect_uri": "http://localhost:8000/oauth/tiktok/callback",
        "disable_auto_auth": "1",
    }


async def test_every_state_is_another_one(api: Api) -> None:
    states = {flows.parse_query(await flows.get_start_url(api))["state"] for _ in range(5)}
    assert len(states) == 5


async def test_a_state_is_stored_as_a_hash_only(api: Api, running: Running, settings: Settings) -> None:
    state = flows.parse_query(await flows.get_start_url(api))["state"]
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.state_hash == sha256(state.encode()).digest()
    assert find_traces([state], await read_database(running, settings)) == set()


async def test_it_expires_in_ten_minutes(api: Api, running: Running) -> None:
    before = utc_now()
    payload = await flows.start(api)
    told = datetime.fromisoformat(payload["expiresAt"])
    [attempt] = await stored.attempts(running, api.viewer)
    assert timedelta(minutes=10) <= told - before + timedelta(milliseconds=1) < timedelta(minutes=10, seconds=5)
    assert (attempt.expires_at - attempt.created_at, attempt.used_at) == (timedelta(minutes=10), None)


async def test_a_web_app_sends_no_code_challenge(api: Api, running: Running) -> None:
    link = await flows.get_consent_url(api.http, await flows.get_start_url(api))
    assert not any(name.startswith("code_challenge") for name in flows.parse_query(link))
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.code_verifier is None


async def test_a_desktop_app_proves_itself_by_a_challenge_in_hex(
    api: Api, running: Running, settings: Settings
) -> None:
    desktop = settings.model_copy(update={"tiktok_login_platform": "desktop"})
    async with serving(desktop) as url, httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as http:
        mine = Api(http=http, settings=desktop, viewer=api.viewer)
        link = await flows.get_consent_url(http, await flows.get_start_url(mine))
        sent = flows.parse_query(link)
        [attempt] = await stored.attempts(running, api.viewer)
        assert attempt.code_verifier is not None
        verifier = Sealer(settings.keys).open(attempt.code_verifier, connection_attempts.verifier_location(attempt.id))
        assert 43 <= len(verifier) <= 128
        assert sent["code_challenge_method"] == "S256"
        assert sent["code_challenge"] == sha256(verifier.encode()).hexdigest()
        assert find_traces([verifier], await read_database(running, settings)) == set()
        payload = await flows.connect(mine, await flows.give_consent(link, f"user-{uuid4().hex}"))
    assert flows.error_codes(payload) == []
    [used] = await stored.attempts(running, api.viewer)
    assert (used.code_verifier, used.connected_account_id is None) == (None, False)


async def test_without_its_verifier_a_desktop_apps_code_is_worthless(
    api: Api, running: Running, settings: Settings
) -> None:
    async with open_services(settings.model_copy(update={"tiktok_login_platform": "desktop"})) as desktop:
        started = await desktop.services.authorizations.start(Viewer(id=api.viewer), return_to=None, account_id=None)
        link = await flows.confirm_in_process(desktop, started.authorization_url)
    stolen = await flows.give_consent(link, f"user-{uuid4().hex}")
    mine = flows.parse_query(await flows.get_start_url(api))["state"]
    payload = await flows.connect(api, {"state": mine, "code": stolen["code"]})
    assert flows.error_codes(payload) == ["AUTHORIZATION_CODE_INVALID"]
    assert await stored.accounts(running, api.viewer) == []


@pytest.mark.parametrize(
    "return_to",
    [
        APP_ORIGIN,
        f"{APP_ORIGIN}/",
        f"{APP_ORIGIN}/settings?tab=1#accounts",
        f"{APP_ORIGIN}?@evil.com",
        f"{APP_ORIGIN}#@evil.com",
        "http://localhost:8000/done",
        f"{APP_ORIGIN}/{'a' * (2000 - len(APP_ORIGIN) - 1)}",
    ],
)
async def test_return_to_leads_to_listed_origins(api: Api, running: Running, return_to: str) -> None:
    await flows.get_start_url(api, returnTo=return_to)
    [attempt] = await stored.attempts(running, api.viewer)
    assert attempt.return_to == return_to


@pytest.mark.parametrize(
    "return_to",
    [
        "/",
        "//evil",
        "//app.example.com",
        "app.example.com",
        "https:app.example.com",
        "https:/app.example.com",
        "https:///app.example.com",
        "https://app.example.com.evil.com",
        "https://app.example.com@evil.com",
        "https://evil.com@app.example.com",
        "https://:@app.example.com",
        "https://evil.com/https://app.example.com",
        "https://evil.com#https://app.example.com",
        "https://evil.com?https://app.example.com",
        "https://evil.com\\@app.example.com",
        "https://app.example.com\\@evil.com",
        "https://app.example.com/\\evil.com",
        "https://app.example.com:8443/",
        "https://app.example.com:443/",
        "https://app.example.com./",
        "https://APP.example.com/",
        "http://app.example.com/",
        "ftp://app.example.com/",
        "http://localhost:8001/",
        "https://localhost:8000/",
        "https://sub.app.example.com/",
        "https://app.example.co",
        "https://[app.example.com/",
        "https://app.example.com\u2100/",
        "https://app.example.com\u3002/",
        "javascript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "data:text/html,hello",
        "https://app.example.com/\nSet-Cookie: a=b",
        "https://app.example.com/\r\n",
        "https://app.exam\tple.com/",
        "\nhttps://app.example.com/",
        " https://app.example.com/",
        "https://app.example.com/\x00",
        "https://app.example.com/\u2028",
        f"https://app.example.com/{'a' * 3000}",
    ],
)
async def test_return_to_leads_nowhere_else(api: Api, running: Running, return_to: str) -> None:
    payload = await flows.start(api, returnTo=return_to)
    [error] = payload["userErrors"]
    assert (payload["authorizationUrl"], payload["expiresAt"]) == (None, None)
    assert (error["code"], error["field"]) == ("INVALID_INPUT", ["input", "returnTo"])
    assert await stored.attempts(running, api.viewer) == []
    [event] = await stored.events(running, api.viewer)
    assert (event.action, [detail["value"] for detail in event.details]) == (
        "MUTATION_REFUSED",
        ["startAccountAuthorization", "INVALID_INPUT"],
    )


async def test_empty_inputs_are_absent_ones(api: Api, running: Running) -> None:
    await flows.get_start_url(api, returnTo="", accountId="")
    [attempt] = await stored.attempts(running, api.viewer)
    assert (attempt.return_to, attempt.account_id) == (None, None)


async def test_an_account_that_is_not_mine_is_not_found(
    api: Api, stranger: Api, tiktok: TikTok, running: Running
) -> None:
    theirs = await tiktok.connect(stranger.viewer)
    for account in ("nonsense", ids.encode(ids.NodeKind.ACCOUNT, uuid4()), ids.encode(ids.NodeKind.ACCOUNT, theirs.id)):
        payload = await flows.start(api, accountId=account)
        assert (flows.error_codes(payload), payload["authorizationUrl"]) == (["NOT_FOUND"], None)
    assert await stored.attempts(running, api.viewer) == []


async def test_a_start_is_audited_with_its_account(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    await flows.get_start_url(api)
    await flows.get_start_url(api, accountId=ids.encode(ids.NodeKind.ACCOUNT, account.id))
    begun = [event for event in await stored.events(running, api.viewer) if event.action == "AUTHORIZATION_STARTED"]
    assert [(event.account_id, event.actor, event.details) for event in begun] == [
        (None, "USER", []),
        (account.id, "USER", []),
    ]
    assert all(event.request_id and event.ip_address for event in begun)


async def test_attempts_of_days_ago_are_forgotten(api: Api, running: Running, settings: Settings) -> None:
    async with open_services(settings, clock=lambda: utc_now() - timedelta(days=2)) as earlier:
        await earlier.services.authorizations.start(Viewer(id=api.viewer), return_to=None, account_id=None)
    assert len(await stored.attempts(running, api.viewer)) == 1
    await flows.get_start_url(api)
    [left] = await stored.attempts(running, api.viewer)
    assert left.expires_at > utc_now()
