"""Token replies that are odd at the side: the tokens in them are stored, and what they lack keeps its stored value."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.connecting import flows, stored
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.replies import DEFAULT_LIFETIME
from tiktok_accounts_gql.wiring import Running

ALL_SCOPES = ["user.info.basic", "user.info.profile", "user.info.stats"]
ODD: list[Mapping[str, Any]] = [
    {"fields": {"expires_in": "86400", "refresh_expires_in": "31536000"}},
    {"fields": {"expires_in": 86400.0, "refresh_expires_in": ""}},
    {"fields": {"expires_in": "", "refresh_expires_in": {}}},
    {"fields": {"expires_in": 0, "refresh_expires_in": 0}},
    {"fields": {"expires_in": -5, "refresh_expires_in": -5}},
    {"fields": {"expires_in": 10**30, "refresh_expires_in": 10**30}},
    {"raw": {"expires_in": "NaN", "refresh_expires_in": "1e400"}},
    {"remove": ("expires_in", "refresh_expires_in")},
    {"fields": {"scope": ALL_SCOPES}},
    {"fields": {"scope": " ".join(ALL_SCOPES)}},
    {"fields": {"scope": ", ".join(ALL_SCOPES)}},
    {"fields": {"scope": "nothing.known"}},
    {"fields": {"error": None, "log_id": 12345}},
    {"fields": {"error": ""}},
    {"fields": {"error": {"code": "ok"}}},
    {"fields": {"error": {"code": "internal_error"}}},
    {"fields": {"error": "invalid_grant"}, "status": 400},
    {"status": 500},
    {"status": 429, "headers": {"Retry-After": "7"}},
    {"raw": {"error_description": '"half \\ud83d"'}},
]
odd_replies = pytest.mark.parametrize("how", ODD, ids=lambda how: str(how)[:60])


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


def alter(tiktok: TikTok, open_id: str, path: str = TOKEN_PATH, times: int | None = 1, **how: Any) -> None:
    tiktok.sandbox.faults.add(Fault(path=path, open_id=open_id, times=times, alteration=Alteration(**how)))


async def syncs(running: Running, account: Account) -> bool:
    return (await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)).error is None


def newest(tiktok: TikTok, open_id: str) -> stored.Pair:
    grant = tiktok.sandbox.state.find_grant(open_id)
    assert grant is not None
    return stored.Pair(access_token=grant.access_token, refresh_token=grant.refresh_token)


@odd_replies
async def test_a_connection_stores_the_tokens_of_an_odd_reply(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, open_id: str, how: Mapping[str, Any]
) -> None:
    alter(tiktok, open_id, **how)
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    assert flows.error_codes(payload) == []
    assert (payload["account"]["grantedScopes"], payload["account"]["missingScopes"]) == (ALL_SCOPES, [])
    [account] = await stored.accounts(running, api.viewer)
    assert (account.open_id, account.follower_count is None) == (open_id, False)
    assert await stored.pair(running, settings, account) == newest(tiktok, open_id)
    assert await syncs(running, account)
    assert tiktok.refreshes(open_id) == 0


@odd_replies
async def test_a_renewal_stores_the_tokens_of_an_odd_reply_and_the_next_call_does_not_renew(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, how: Mapping[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    alter(tiktok, account.open_id, **how)
    assert await syncs(running, account)
    assert await stored.pair(running, settings, account) == newest(tiktok, account.open_id)
    [kept] = await stored.accounts(running, api.viewer)
    assert (kept.status, kept.granted_scopes) == ("ACTIVE", ALL_SCOPES)
    assert kept.token_expires_at is not None
    assert kept.reauthorize_by is not None
    assert kept.token_expires_at > utc_now() + timedelta(seconds=DEFAULT_LIFETIME - 60)
    assert kept.reauthorize_by > utc_now() + timedelta(days=100)
    assert await syncs(running, account)
    assert tiktok.refreshes(account.open_id) == 1


@pytest.mark.parametrize("seconds", [1, "1", 0.0, 5, -1, "0"], ids=repr)
async def test_a_token_that_lives_for_moments_is_not_renewed_at_each_use(
    tiktok: TikTok, running: Running, viewer: str, seconds: Any
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    alter(tiktok, account.open_id, times=None, fields={"expires_in": seconds})
    try:
        assert [await syncs(running, account) for _ in range(3)] == [True] * 3
    finally:
        tiktok.sandbox.faults.clear()
    assert tiktok.refreshes(account.open_id) == 1


@pytest.mark.parametrize("odd", [None, "", [], {}, True])
async def test_a_refresh_token_that_cannot_be_read_keeps_the_stored_one(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, odd: Any
) -> None:
    account = await tiktok.connect(viewer)
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    alter(tiktok, account.open_id, fields={"refresh_token": odd})
    assert await syncs(running, account)
    after = await stored.pair(running, settings, account)
    assert (after.refresh_token, after.access_token) == (
        before.refresh_token,
        newest(tiktok, account.open_id).access_token,
    )
    again = before
    alter(tiktok, account.open_id, fields={"refresh_token": odd})
    await tiktok.connect(viewer, account.open_id)
    assert (await stored.pair(running, settings, account)).refresh_token == again.refresh_token


@pytest.mark.parametrize("odd", ["a number", None, "", [], "left out"], ids=str)
async def test_a_renewal_need_not_say_whose_it_is(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, odd: Any
) -> None:
    account = await tiktok.connect(viewer, str(uuid4().int) if odd == "a number" else None)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    if odd == "a number":
        alter(tiktok, account.open_id, raw={"open_id": account.open_id})
    elif odd == "left out":
        alter(tiktok, account.open_id, remove=("open_id",))
    else:
        alter(tiktok, account.open_id, fields={"open_id": odd})
    assert await syncs(running, account)
    assert await stored.pair(running, settings, account) == newest(tiktok, account.open_id)


@pytest.mark.parametrize(
    "odd", [{"remove": ("open_id",)}, {"fields": {"open_id": ""}}, {"fields": {"open_id": []}}], ids=str
)
async def test_a_connection_learns_from_user_info_whose_grant_it_is(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, open_id: str, odd: Mapping[str, Any]
) -> None:
    alter(tiktok, open_id, **odd)
    assert flows.error_codes(await flows.connect(api, await flows.authorize(api, open_id))) == []
    [account] = await stored.accounts(running, api.viewer)
    assert account.open_id == open_id
    assert await stored.pair(running, settings, account) == newest(tiktok, open_id)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"remove": ("data.user.open_id",)}, "SYNC_FAILED"),
        ({"status": 503}, "TIKTOK_UNAVAILABLE"),
        ({"fields": {"error.code": "invalid_params"}}, "SYNC_FAILED"),
    ],
    ids=["not told", "silence", "refused"],
)
async def test_a_grant_of_nobody_is_revoked_and_the_user_is_told(
    api: Api, tiktok: TikTok, running: Running, open_id: str, how: Mapping[str, Any], code: str
) -> None:
    alter(tiktok, open_id, remove=("open_id",))
    alter(tiktok, open_id, USER_INFO_PATH, **how)
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    assert flows.error_codes(payload) == [code]
    assert tiktok.revoked(open_id)
    assert not any((await stored.counts(running, api.viewer)).values())


async def test_a_connection_stores_nothing_of_another_accounts_reading(
    api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    odd = {"data.user.open_id": "another one", "data.user.display_name": "Bob"}
    alter(tiktok, open_id, USER_INFO_PATH, fields=odd)
    payload = await flows.connect(api, await flows.authorize(api, open_id))
    account = payload["account"]
    assert (account["displayName"], account["followerCount"]) == (open_id[:8], None)
    assert (account["health"]["state"], account["health"]["action"]) == ("DEGRADED", "CONTACT_OPERATOR")
    assert "another account" in account["lastError"]
    counts = await stored.counts(running, api.viewer)
    assert (counts["snapshots"], counts["avatars"], counts["token_pairs"]) == (0, 0, 1)
    [kept] = await stored.accounts(running, api.viewer)
    assert (kept.open_id, kept.last_synced_at) == (open_id, None)
    assert await syncs(running, kept)


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "in UTF-16"])
async def test_tokens_are_found_however_the_reply_is_written(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, nested: bool
) -> None:
    account = await tiktok.connect(viewer)
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    reply = {"access_token": before.access_token, "refresh_token": "rft.new", "expires_in": 7200}
    told = json.dumps({"data": reply, "message": "success"} if nested else reply)
    body = told.encode() if nested else told.encode("utf-16")
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, open_id=account.open_id, status=200, body=body))
    await running.tokens.get_access_token(Viewer(id=viewer), account.id, refused=before.access_token)
    assert (await stored.pair(running, settings, account)).refresh_token == "rft.new"


@pytest.mark.parametrize("body", ["<html>", "", '{"access_token":', '{"access_token": ""}', "[" * 200_000])
async def test_a_renewal_that_cannot_be_read_is_ambiguous_and_keeps_the_account(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, body: str
) -> None:
    account = await tiktok.connect(viewer)
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    fault = Fault(path=TOKEN_PATH, open_id=account.open_id, status=200, body=body.encode())
    tiktok.sandbox.faults.add(fault)
    assert not await syncs(running, account)
    [sealed] = await stored.sealed_pairs(running, viewer)
    assert (sealed.lease_id, sealed.attempted_at is None) == (None, False)
    assert await stored.pair(running, settings, account) == before
    assert await syncs(running, account)


@pytest.mark.parametrize("odd", [None, "", {}, "two\nlines", "\u00e9", "x" * 100_000], ids=lambda odd: repr(odd)[:12])
async def test_a_refresh_token_beside_an_access_token_that_is_none_is_used_at_once(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, odd: Any
) -> None:
    open_id = f"user-{uuid4().hex}"
    alter(tiktok, open_id, fields={"access_token": odd})
    account = await tiktok.connect(viewer, open_id)
    assert await stored.pair(running, settings, account) == newest(tiktok, open_id)
    tiktok.sandbox.state.expire_access_token(open_id)
    alter(tiktok, open_id, fields={"access_token": odd})
    assert await syncs(running, account)
    assert await stored.pair(running, settings, account) == newest(tiktok, open_id)
    assert tiktok.refreshes(open_id) == 3


UNREADABLE = {"alteration": Alteration(fields={"access_token": None})}
SECOND_FAILURES: dict[str, Mapping[str, Any]] = {
    "silence": {"status": 503},
    "429": {"status": 429, "error": "rate_limit_exceeded"},
    "unreadable again": UNREADABLE,
    "HTML": {"status": 200, "body": b"<html>"},
    "misconfigured": {"status": 401, "error": "invalid_client"},
}


@pytest.mark.parametrize("second", SECOND_FAILURES)
async def test_a_refresh_token_that_came_alone_is_kept_whatever_becomes_of_its_use(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, second: str
) -> None:
    account = await tiktok.connect(viewer)
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, **UNREADABLE)
    tiktok.fail(TOKEN_PATH, account, **SECOND_FAILURES[second])
    assert not await syncs(running, account)
    kept = await stored.pair(running, settings, account)
    assert kept == stored.Pair(
        access_token=before.access_token, refresh_token=newest(tiktok, account.open_id).refresh_token
    )
    [sealed] = await stored.sealed_pairs(running, viewer)
    assert sealed.lease_id is None
    assert await syncs(running, account)
    assert await stored.pair(running, settings, account) == newest(tiktok, account.open_id)
    [row] = await stored.accounts(running, viewer)
    assert (row.status, row.health_state) == ("ACTIVE", "HEALTHY")


async def test_a_refresh_token_that_comes_alone_and_is_refused_does_not_replace_the_stored_one(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    body = json.dumps({"refresh_token": "rft.of-nobody", "access_token": ""}).encode()
    tiktok.fail(TOKEN_PATH, account, status=200, body=body)
    assert not await syncs(running, account)
    assert await stored.pair(running, settings, account) == before
    assert await syncs(running, account)


RATE_LIMITS = ['{"error": {"code": "x"}}', '{"error": "rate_limit_exceeded"}', '{"error": 7}', "<html>", ""]


@pytest.mark.parametrize("body", RATE_LIMITS)
async def test_a_rate_limit_of_the_token_endpoint_lasts_as_long_as_tiktok_says(
    tiktok: TikTok, running: Running, viewer: str, body: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    alter(tiktok, account.open_id, status=429, headers={"Retry-After": "7"}, body=body)
    synced = await running.services.syncing.sync(Viewer(id=viewer), account.id)
    assert synced.error is not None
    assert (synced.error.code, synced.error.retry_after_seconds) == ("TIKTOK_RATE_LIMITED", 7)
    assert synced.account.status == "ACTIVE"


DONE = ["", "{}", "OK", "<html>", '""', '{"error": {"code": "ok"}}', '{"error": ""}', '{"error": null, "log_id": 7}']


@pytest.mark.parametrize("body", DONE)
async def test_a_revocation_that_succeeds_in_any_words_is_owed_no_more(
    tiktok: TikTok, running: Running, viewer: str, body: str
) -> None:
    account = await tiktok.connect(viewer)
    alter(tiktok, account.open_id, REVOKE_PATH, body=body)
    await running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)

    async def is_settled() -> bool:
        return (await stored.counts(running, viewer))["owed_revocations"] == 0

    await until(is_settled)
    assert tiktok.revocations(account.open_id) == 1
    assert tiktok.revoked(account.open_id)
