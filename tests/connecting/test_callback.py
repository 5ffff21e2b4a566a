"""GET /oauth/tiktok/callback"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.connecting import flows, stored
from tests.connecting.flows import APP_ORIGIN, CallbackQuery
from tests.support.server import Api, serving
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

NOTHING = {"accounts": 0, "token_pairs": 0, "snapshots": 0, "avatars": 0, "owed_revocations": 0}
ONE_ACCOUNT = {"accounts": 1, "token_pairs": 1, "snapshots": 1, "avatars": 1, "owed_revocations": 0}
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { userErrors { code } } }"


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


def exchanges(tiktok: TikTok) -> int:
    return len(tiktok.sandbox.state.list_calls(TOKEN_PATH, kind="authorization_code"))


def global_id(account: Account) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account.id)


def text(page: httpx.Response) -> str:
    return unescape(page.text)


async def syncs(running: Running, account: Account) -> bool:
    return (await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)).error is None


async def test_a_browser_goes_back_to_where_it_came_from(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/accounts")
    response = await flows.send_callback(http, answer)
    [account] = await stored.accounts(running, api.viewer)
    assert response.status_code == 303
    assert response.headers["location"] == f"{APP_ORIGIN}/accounts?accountId={global_id(account)}"
    assert (account.open_id, account.status) == (open_id, "ACTIVE")
    assert await stored.counts(running, api.viewer) == ONE_ACCOUNT
    assert await stored.actions(running, api.viewer) == ["AUTHORIZATION_STARTED", "ACCOUNT_CONNECTED"]


async def test_the_audit_knows_from_where_the_browser_came(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str
) -> None:
    response = await flows.send_callback(http, await flows.authorize(api, open_id))
    connected = (await stored.events(running, api.viewer))[-1]
    assert (connected.actor, connected.ip_address) == ("USER", "127.0.0.1")
    assert connected.request_id == response.headers["x-request-id"]


async def test_what_return_to_holds_is_kept_and_only_the_answers_are_replaced(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str
) -> None:
    query = "tab=1&accountId=forged&empty=&error=OLD&name=%C3%A9%26&tab=2&accountId=twice"
    response = await flows.send_callback(
        http, await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/a%20b?{query}#section?accountId=x")
    )
    [account] = await stored.accounts(running, api.viewer)
    assert flows.redirect_query(response) == {
        "tab": ["1", "2"],
        "empty": [""],
        "name": ["é&"],
        "accountId": [global_id(account)],
    }
    parts = urlsplit(response.headers["location"])
    assert (parts.path, parts.fragment) == ("/a%20b", "section?accountId=x")


async def test_without_return_to_a_page_says_what_happened(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str
) -> None:
    page = await flows.send_callback(http, await flows.authorize(api, open_id))
    [account] = await stored.accounts(running, api.viewer)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Connected</h1>" in page.text
    assert f"{account.display_name} is connected" in text(page)


@pytest.mark.parametrize("return_to", [None, f"{APP_ORIGIN}/"])
async def test_a_repeated_callback_is_answered_as_the_first(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str, return_to: str | None
) -> None:
    answer, before = await flows.authorize(api, open_id, returnTo=return_to), exchanges(tiktok)
    first = await flows.send_callback(http, answer)
    again = [await flows.send_callback(http, answer) for _ in range(2)]
    assert {(one.status_code, one.headers.get("location"), one.text) for one in again} == {
        (first.status_code, first.headers.get("location"), first.text)
    }
    assert exchanges(tiktok) - before == 1
    assert await stored.counts(running, api.viewer) == ONE_ACCOUNT
    repeated = ["MUTATION_REPEATED"] * 2
    assert await stored.actions(running, api.viewer) == ["AUTHORIZATION_STARTED", "ACCOUNT_CONNECTED", *repeated]


async def test_callbacks_at_once_at_two_servers_exchange_once(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, settings: Settings, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/"), exchanges(tiktok)
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, delay_seconds=0.3, passthrough=True))
    async with (
        serving(settings) as url,
        httpx.AsyncClient(base_url=url, verify=get_ssl_context(), cookies=http.cookies) as other,
    ):
        responses = await asyncio.gather(*[flows.send_callback(one, answer) for one in (http, other) * 4])
    assert len({response.headers["location"] for response in responses}) == 1
    assert "accountId" in flows.redirect_query(responses[0])
    assert exchanges(tiktok) - before == 1
    assert await stored.counts(running, api.viewer) == ONE_ACCOUNT


async def test_a_repeated_failure_is_answered_as_the_first(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer, before = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/"), exchanges(tiktok)
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, status=503))
    responses = [await flows.send_callback(http, answer) for _ in range(2)]
    assert [flows.redirect_query(response) for response in responses] == [{"error": ["TIKTOK_UNAVAILABLE"]}] * 2
    assert exchanges(tiktok) - before == 1
    assert await stored.reasons(running, api.viewer) == ["TIKTOK_UNAVAILABLE"]
    assert await stored.reasons(running, api.viewer, "MUTATION_REPEATED") == ["TIKTOK_UNAVAILABLE"]


async def test_once_it_was_disconnected_a_repeated_callback_brings_nothing_back(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/")
    [account] = flows.redirect_query(await flows.send_callback(http, answer))["accountId"]
    await api.data(DISCONNECT, id=account)
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["AUTHORIZATION_STATE_INVALID"]}
    [stored_account] = await stored.accounts(running, api.viewer)
    assert stored_account.disconnected_at is not None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "AUTHORIZATION_DENIED"),
        ("server_error", "TIKTOK_UNAVAILABLE"),
        ("temporarily_unavailable", "TIKTOK_UNAVAILABLE"),
        ("invalid_scope", "APP_MISCONFIGURED"),
        ("unauthorized_client", "APP_MISCONFIGURED"),
        ("<script>", "APP_MISCONFIGURED"),
    ],
)
async def test_an_error_of_tiktoks_is_told_by_our_code(
    http: httpx.AsyncClient, api: Api, running: Running, error: str, code: str
) -> None:
    state = await flows.get_state_at_tiktok(api, returnTo=f"{APP_ORIGIN}/")
    brought = {"state": state, "error": error, "error_description": "Somebody said no."}
    assert flows.redirect_query(await flows.send_callback(http, brought)) == {"error": [code]}
    assert await stored.counts(running, api.viewer) == NOTHING
    assert await stored.reasons(running, api.viewer) == [code]


async def test_a_denied_consent_without_return_to_shows_a_page(http: httpx.AsyncClient, api: Api) -> None:
    state = await flows.get_state_at_tiktok(api)
    page = await flows.send_callback(http, {"state": state, "error": "access_denied"})
    assert page.status_code == 400
    assert "<h1>Not connected</h1>" in page.text
    assert "denied at TikTok" in page.text


async def test_a_used_state_with_another_code_is_invalid_and_changes_nothing(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/")
    await flows.send_callback(http, answer)
    before, other = exchanges(tiktok), await tiktok.code(f"other-{open_id}")
    for brought in ({"state": answer["state"], "code": other}, {"state": answer["state"], "error": "access_denied"}):
        assert flows.redirect_query(await flows.send_callback(http, brought)) == {
            "error": ["AUTHORIZATION_STATE_INVALID"]
        }
    assert exchanges(tiktok) == before
    assert await stored.counts(running, api.viewer) == ONE_ACCOUNT
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_STATE_INVALID"] * 2


@pytest.mark.parametrize(("minutes", "works"), [(9, True), (10, False), (60, False)])
async def test_a_state_works_for_ten_minutes(
    http: httpx.AsyncClient,
    tiktok: TikTok,
    running: Running,
    settings: Settings,
    viewer: str,
    minutes: int,
    works: bool,
) -> None:
    before = exchanges(tiktok)
    async with open_services(settings, clock=lambda: utc_now() - timedelta(minutes=minutes)) as earlier:
        begun = await earlier.services.authorizations.start(
            Viewer(id=viewer), return_to=f"{APP_ORIGIN}/", account_id=None
        )
        link = await flows.confirm_in_process(earlier, begun.authorization_url)
    answer = await flows.give_consent(link, f"user-{uuid4().hex}")
    query = flows.redirect_query(await flows.send_callback(http, answer, flows.BROWSER))
    if works:
        assert query.keys() == {"accountId"}
        return
    assert query == {"error": ["AUTHORIZATION_STATE_EXPIRED"]}
    assert flows.redirect_query(await flows.send_callback(http, answer, flows.BROWSER)) == query
    assert exchanges(tiktok) == before
    assert await stored.counts(running, viewer) == NOTHING
    assert (await stored.reasons(running, viewer))[0] == "AUTHORIZATION_STATE_EXPIRED"


@pytest.mark.parametrize(
    "brought",
    [
        {"state": "x" * 43, "code": "<script>alert(1)</script>"},
        {"state": "<script>", "error": "<script>"},
        {"state": "", "code": "c"},
        {"code": "c"},
        {"state": "s"},
        {},
        {"state": "s", "code": "c", "error": "e"},
        {"state": "s" * 5000, "code": "c"},
        {"state": "s", "code": "c" * 5000},
        {"state": "\0", "code": "\0"},
        {"state": "\ufffd%ff", "code": "é"},
    ],
    ids=lambda brought: ",".join(f"{name} {value[:8]!r}" for name, value in brought.items()),
)
async def test_what_nobody_started_shows_a_page_without_anything_foreign(
    http: httpx.AsyncClient, tiktok: TikTok, brought: CallbackQuery
) -> None:
    before = exchanges(tiktok)
    page = await flows.send_callback(http, brought)
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "<h1>Not connected</h1>" in page.text
    assert "<script" not in page.text
    assert "location" not in page.headers
    assert exchanges(tiktok) == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, "AUTHORIZATION_CODE_INVALID"),
        ({"status": 400, "error": "invalid_grant"}, "AUTHORIZATION_CODE_INVALID"),
        ({"status": 503}, "TIKTOK_UNAVAILABLE"),
        ({"drop": True}, "TIKTOK_UNAVAILABLE"),
        ({"status": 200, "body": b"<html>"}, "TIKTOK_UNAVAILABLE"),
        ({"status": 429, "error": "rate_limit_exceeded"}, "TIKTOK_RATE_LIMITED"),
        ({"status": 401, "error": "invalid_client"}, "APP_MISCONFIGURED"),
        ({"status": 401, "error": "unauthorized_client"}, "APP_MISCONFIGURED"),
        ({"status": 400, "error": "invalid_request"}, "APP_MISCONFIGURED"),
        ({"status": 200, "error": "invalid_request"}, "APP_MISCONFIGURED"),
        ({"status": 400, "error": "invalid_scope"}, "APP_MISCONFIGURED"),
        ({"status": 400, "error": "unsupported_grant_type"}, "APP_MISCONFIGURED"),
        ({"status": 400, "error": "something_new"}, "APP_MISCONFIGURED"),
        ({"status": 401, "error": "access_token_invalid"}, "APP_MISCONFIGURED"),
        ({"status": 400, "error": "access_denied"}, "AUTHORIZATION_DENIED"),
        ({"status": 200, "error": "access_denied"}, "AUTHORIZATION_DENIED"),
        ({"status": 200, "body": b""}, "TIKTOK_UNAVAILABLE"),
        ({"status": 200, "body": b"[]"}, "TIKTOK_UNAVAILABLE"),
    ],
    ids=str,
)
async def test_a_failed_exchange_stores_nothing_and_is_audited(
    http: httpx.AsyncClient,
    api: Api,
    tiktok: TikTok,
    running: Running,
    open_id: str,
    fault: Mapping[str, Any] | None,
    code: str,
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/")
    if fault is None:
        answer["code"] = "forged"
    else:
        tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, **fault))
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": [code]}
    assert await stored.counts(running, api.viewer) == NOTHING
    [started, failed] = await stored.events(running, api.viewer)
    assert (started.action, failed.action, failed.actor) == ("AUTHORIZATION_STARTED", "AUTHORIZATION_FAILED", "USER")
    assert failed.details == [{"name": "reason", "value": code, "previousValue": None}]


async def test_a_silent_tiktok_is_waited_for_no_longer_than_its_time_out(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/")
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, delay_seconds=2.5))
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["TIKTOK_UNAVAILABLE"]}
    assert await stored.counts(running, api.viewer) == NOTHING


async def test_without_the_basic_scope_nothing_is_connected_and_the_grant_is_given_back(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    answer = await flows.authorize(api, open_id, scopes="user.info.stats", returnTo=f"{APP_ORIGIN}/")
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["SCOPE_MISSING"]}
    assert tiktok.revoked(open_id)
    assert await stored.counts(running, api.viewer) == NOTHING


async def test_with_the_account_to_reconnect_it_is_reconnected(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    mine = await tiktok.connect(api.viewer, open_id)
    answer = await flows.authorize(api, open_id, accountId=global_id(mine), returnTo=f"{APP_ORIGIN}/")
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"accountId": [global_id(mine)]}
    assert (await stored.actions(running, api.viewer))[-1] == "ACCOUNT_RECONNECTED"


async def test_another_account_than_the_one_to_reconnect_is_refused_and_its_grant_revoked(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    mine, before = await tiktok.connect(api.viewer), await stored.counts(running, api.viewer)
    answer = await flows.authorize(api, open_id, accountId=global_id(mine), returnTo=f"{APP_ORIGIN}/")
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["WRONG_TIKTOK_ACCOUNT"]}
    assert await stored.counts(running, api.viewer) == before
    assert tiktok.revoked(open_id)
    assert await stored.accounts(running, api.viewer) == [mine]
    failed = (await stored.events(running, api.viewer))[-1]
    assert (failed.action, failed.account_id) == ("AUTHORIZATION_FAILED", mine.id)
    assert await stored.reasons(running, api.viewer) == ["WRONG_TIKTOK_ACCOUNT"]
    assert await syncs(running, mine)


async def test_the_viewers_other_account_gets_the_grant_that_was_meant_for_it(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    wanted, other = await tiktok.connect(api.viewer), await tiktok.connect(api.viewer, open_id)
    before = await stored.counts(running, api.viewer)
    answer = await flows.authorize(api, open_id, accountId=global_id(wanted), returnTo=f"{APP_ORIGIN}/")
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["WRONG_TIKTOK_ACCOUNT"]}
    assert not tiktok.revoked(open_id)
    assert await stored.counts(running, api.viewer) == before
    refreshes = tiktok.refreshes(open_id)
    assert await syncs(running, other)
    assert await syncs(running, wanted)
    assert tiktok.refreshes(open_id) == refreshes
    handed_over = [event for event in await stored.events(running, api.viewer) if event.action == "TOKEN_REFRESHED"]
    assert [(event.account_id, event.actor) for event in handed_over] == [(other.id, "SYSTEM")]


async def test_what_another_user_connected_stays_theirs_and_goes_on(
    http: httpx.AsyncClient, api: Api, stranger: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    theirs, before = await tiktok.connect(stranger.viewer, open_id), await stored.counts(running, stranger.viewer)
    answer = await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/")
    response = await flows.send_callback(http, answer)
    assert flows.redirect_query(response) == {"error": ["ACCOUNT_CONNECTED_ELSEWHERE"]}
    assert stranger.viewer not in response.text
    assert await stored.counts(running, api.viewer) == NOTHING
    assert await stored.counts(running, stranger.viewer) == before
    assert await stored.reasons(running, api.viewer) == ["ACCOUNT_CONNECTED_ELSEWHERE"]
    assert await syncs(running, theirs)


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 401, "error": "invalid_client"}, {"drop": True}], ids=str
)
async def test_a_grant_that_cannot_be_given_back_changes_no_answer(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str, fault: dict[str, Any]
) -> None:
    mine = await tiktok.connect(api.viewer)
    tiktok.sandbox.faults.add(Fault(path=REVOKE_PATH, open_id=open_id, **fault))
    answer = await flows.authorize(api, open_id, accountId=global_id(mine), returnTo=f"{APP_ORIGIN}/")
    assert flows.redirect_query(await flows.send_callback(http, answer)) == {"error": ["WRONG_TIKTOK_ACCOUNT"]}
    assert await stored.accounts(running, api.viewer) == [mine]


async def test_an_account_that_cannot_be_read_for_now_is_connected_all_the_same(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, status=503))
    assert "accountId" in flows.redirect_query(
        await flows.send_callback(http, await flows.authorize(api, open_id, returnTo=f"{APP_ORIGIN}/"))
    )
    [account] = await stored.accounts(running, api.viewer)
    assert (account.status, account.last_synced_at) == ("ACTIVE", None)
    assert await syncs(running, account)


async def test_a_hostile_name_is_shown_as_a_name(
    http: httpx.AsyncClient, api: Api, tiktok: TikTok, open_id: str
) -> None:
    name = """</p><script>alert("$1 ${title} $$")</script>&<img src=x onerror='1'>"""
    tiktok.sandbox.faults.add(flows.display_name_fault(open_id, name))
    page = await flows.send_callback(http, await flows.authorize(api, open_id))
    assert page.status_code == 200
    assert f"{name} is connected" in text(page)
    assert [part for part in ("<script", "<img", "</p><") if part in page.text] == []


@pytest.mark.parametrize("return_to", [None, f"{APP_ORIGIN}/"])
@pytest.mark.parametrize("known", [True, False])
async def test_every_answer_is_kept_from_caches_referrers_and_scripts(
    http: httpx.AsyncClient, api: Api, open_id: str, return_to: str | None, known: bool
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=return_to)
    response = await flows.send_callback(http, answer if known else {**answer, "state": "unknown"})
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert answer["code"] not in response.text + response.headers.get("location", "")
    assert answer["state"] not in response.text + response.headers.get("location", "")


async def test_only_a_get_is_a_callback(http: httpx.AsyncClient, api: Api, running: Running, open_id: str) -> None:
    answer = await flows.authorize(api, open_id)
    response = await http.post("/oauth/tiktok/callback", params=answer)
    assert response.status_code == 405
    assert await stored.counts(running, api.viewer) == NOTHING
