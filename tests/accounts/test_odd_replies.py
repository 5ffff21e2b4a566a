"""Syncs whose replies are odd at the side: what can be read is stored, what cannot is null."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.connecting import stored
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

SHOW = """
query Show($id: ID!) {
  account(id: $id) {
    displayName username profileUrl isVerified followerCount likesCount lastSyncedAt lastError status
    health { state reason action }
    statsHistory { followerCount likesCount }
    growth(days: 7) { followerChange likesChange }
  }
  accountsSummary { totalFollowers totalLikes totalVideos }
}
"""
USER = "data.user."


async def sync(running: Running, account: Account) -> SyncedAccount:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def shown(api: Api, account: Account) -> dict[str, Any]:
    return await api.data(SHOW, id=ids.encode(ids.NodeKind.ACCOUNT, account.id))


def alter(tiktok: TikTok, account: Account, path: str = USER_INFO_PATH, times: int | None = 1, **how: Any) -> None:
    tiktok.fail(path, account, times=times, alteration=Alteration(**how))


def told(name: str, value: Any) -> dict[str, Any]:
    return {"fields": {f"{USER}{name}": value}}


def written(name: str, words: str) -> dict[str, Any]:
    return {"raw": {f"{USER}{name}": words}}


ODD: list[tuple[str, Mapping[str, Any], Any]] = [
    ("likes_count", told("likes_count", -977433948), None),
    ("likes_count", told("likes_count", 2**53), None),
    ("likes_count", told("likes_count", 2**63), None),
    ("likes_count", told("likes_count", True), None),
    ("likes_count", told("likes_count", []), None),
    ("likes_count", told("likes_count", "x"), None),
    ("likes_count", told("likes_count", 12.0), 12),
    ("likes_count", told("likes_count", "12"), 12),
    ("likes_count", told("likes_count", " 12 "), 12),
    ("video_count", written("video_count", "NaN"), None),
    ("video_count", written("video_count", "1e400"), None),
    ("video_count", written("video_count", "9" * 5000), None),
    ("video_count", written("video_count", "{}"), None),
    ("is_verified", told("is_verified", 1), True),
    ("is_verified", told("is_verified", "true"), True),
    ("is_verified", told("is_verified", {}), None),
    ("display_name", written("display_name", '"Ann \\ud83d"'), "Ann \ufffd"),
    ("bio_description", written("bio_description", '"\\udc00 \\u0000x"'), "\ufffd x"),
    ("username", told("username", []), None),
    ("profile_url", told("profile_deep_link", "javascript:alert(1)"), None),
    ("profile_url", told("profile_deep_link", "http://a"), None),
    ("profile_url", told("profile_deep_link", 7), None),
    ("profile_url", {"remove": (f"{USER}profile_deep_link",)}, None),
]


@pytest.mark.parametrize(("column", "how", "value"), ODD, ids=[f"{column} {how}"[:60] for column, how, _ in ODD])
async def test_one_odd_value_costs_no_other(
    api: Api, tiktok: TikTok, running: Running, column: str, how: Mapping[str, Any], value: Any
) -> None:
    account = await tiktok.connect(api.viewer)
    alter(tiktok, account, **how)
    synced = await sync(running, account)
    assert synced.error is None
    [kept] = await stored.accounts(running, api.viewer)
    assert getattr(kept, column) == value
    read = {"follower_count", "following_count", "likes_count", "video_count", "username", "profile_url"} - {column}
    assert [name for name in read if getattr(kept, name) is None] == []
    point = (await stored.snapshots(running, api.viewer))[-1]
    assert (point.likes_count, point.video_count) == (kept.likes_count, kept.video_count)
    answer = await shown(api, account)
    assert answer["account"]["health"] == {"state": "HEALTHY", "reason": None, "action": "NONE"}
    assert answer["accountsSummary"]["totalLikes"] == (kept.likes_count or 0)
    assert answer["account"]["statsHistory"][-1]["likesCount"] == kept.likes_count


@pytest.mark.parametrize("odd", [None, "", " ", [], {}, True])
async def test_a_name_that_cannot_be_read_stays(api: Api, tiktok: TikTok, running: Running, odd: Any) -> None:
    account = await tiktok.connect(api.viewer)
    alter(tiktok, account, fields={f"{USER}display_name": odd})
    assert (await sync(running, account)).account.display_name == account.display_name
    [kept] = await stored.accounts(running, api.viewer)
    assert kept.last_synced_at != account.last_synced_at
    assert kept.display_name == account.display_name


async def test_a_reading_without_a_counter_is_no_point_of_the_history(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    names = ("follower_count", "following_count", "likes_count", "video_count")
    alter(tiktok, account, remove=[f"{USER}{name}" for name in names])
    assert (await sync(running, account)).error is None
    assert len(await stored.snapshots(running, api.viewer)) == 1
    answer = await shown(api, account)
    assert (answer["account"]["followerCount"], answer["accountsSummary"]["totalFollowers"]) == (None, 0)
    assert len(answer["account"]["statsHistory"]) == 1


async def test_counters_as_large_as_the_contract_allows_are_shown_and_their_sum_is_bounded(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    for _ in range(2):
        account = await tiktok.connect(api.viewer)
        alter(tiktok, account, fields={f"{USER}likes_count": 2**53 - 1, f"{USER}follower_count": 2**53 - 1})
        assert (await sync(running, account)).error is None
    answer = await shown(api, account)
    assert answer["account"]["likesCount"] == 2**53 - 1
    assert answer["account"]["growth"]["likesChange"] == 2**53 - 1 - (account.likes_count or 0)
    assert answer["accountsSummary"]["totalLikes"] == 2**53 - 1
    alter(tiktok, account, fields={f"{USER}likes_count": 1})
    await sync(running, account)
    assert (await shown(api, account))["accountsSummary"]["totalLikes"] == 2**53 - 1
    await running.services.accounts.disconnect(Viewer(id=api.viewer), account.id, None)
    [other] = [one for one in await stored.accounts(running, api.viewer) if one.id != account.id]
    alter(tiktok, other, fields={f"{USER}likes_count": 5})
    await sync(running, other)
    assert (await shown(api, other))["accountsSummary"]["totalLikes"] == 5


UNREADABLE: list[Mapping[str, Any]] = [
    {"body": "<html>"},
    {"body": ""},
    {"body": '{"data":'},
    {"body": "[" * 300_000},
    {"body_base64": "//79"},
    {"fields": {"data": None}},
    {"remove": ("data.user",)},
    {"fields": {"data.user": {}}},
    {"status": 302, "headers": {"Location": "/v2/oauth/token/"}},
    {"status": 404},
    {"headers": {"Content-Encoding": "gzip"}},
]


@pytest.mark.parametrize("how", UNREADABLE, ids=lambda how: str(how)[:40])
async def test_a_reply_that_cannot_be_read_keeps_what_was_read_before(
    api: Api, tiktok: TikTok, running: Running, how: Mapping[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    alter(tiktok, account, **how)
    synced = await sync(running, account)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("SYNC_FAILED", "ACTIVE")
    [kept] = await stored.accounts(running, api.viewer)
    assert (kept.likes_count, kept.last_synced_at) == (account.likes_count, account.last_synced_at)
    assert len(await stored.snapshots(running, api.viewer)) == 1
    assert (await shown(api, account))["account"]["health"]["reason"] == "TIKTOK_UNAVAILABLE"


REFUSALS: list[Mapping[str, Any]] = [
    {"status": 401, "body": ""},
    {"status": 401, "body": "<html>"},
    {"status": 401, "body": '{"error": "invalid_token"}'},
    {"status": 401, "body_base64": "//79"},
    {"status": 401, "fields": {"error": {"code": "internal_error"}}},
    {"fields": {"error": {"code": "access_token_invalid"}}},
]


@pytest.mark.parametrize("how", REFUSALS, ids=lambda how: str(how)[:50])
async def test_a_refused_access_token_is_renewed_whatever_the_refusal_says(
    api: Api, tiktok: TikTok, running: Running, how: Mapping[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    alter(tiktok, account, **how)
    assert (await sync(running, account)).error is None
    assert tiktok.refreshes(account.open_id) == 1
    alter(tiktok, account, times=2, **how)
    synced = await sync(running, account)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("SYNC_FAILED", "ACTIVE")
    assert tiktok.refreshes(account.open_id) == 2
    assert (await sync(running, account)).error is None


OTHERS: list[Mapping[str, Any]] = [
    {"fields": {f"{USER}open_id": "another one", f"{USER}display_name": "Bob", f"{USER}likes_count": 1}},
    {"fields": {f"{USER}open_id": 7, f"{USER}display_name": "Bob"}},
    {"fields": {f"{USER}union_id": "another one", f"{USER}display_name": "Bob"}, "remove": (f"{USER}open_id",)},
]


@pytest.mark.parametrize("how", OTHERS, ids=["open id", "number", "union id"])
async def test_nothing_of_another_account_is_stored(
    api: Api, tiktok: TikTok, running: Running, how: Mapping[str, Any]
) -> None:
    account = await tiktok.connect(api.viewer)
    alter(tiktok, account, **how)
    synced = await sync(running, account)
    assert synced.error is not None
    assert (synced.error.code, synced.error.message) == ("SYNC_FAILED", synced.account.last_error)
    [kept] = await stored.accounts(running, api.viewer)
    same = ("open_id", "union_id", "display_name", "likes_count", "avatar_hash", "last_synced_at", "status")
    assert [getattr(kept, name) for name in same] == [getattr(account, name) for name in same]
    counts = await stored.counts(running, api.viewer)
    assert (counts["snapshots"], counts["avatars"]) == (1, 1)
    seen = (await shown(api, account))["account"]
    assert seen["health"] == {"state": "DEGRADED", "reason": "TIKTOK_UNAVAILABLE", "action": "CONTACT_OPERATOR"}
    assert "another account" in seen["lastError"]
    assert (await sync(running, account)).error is None


async def test_a_reading_that_does_not_say_whose_it_is_is_the_tokens_account(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    alter(tiktok, account, remove=(f"{USER}open_id",), fields={f"{USER}likes_count": 3})
    assert (await sync(running, account)).error is None
    [kept] = await stored.accounts(running, viewer)
    assert (kept.open_id, kept.likes_count) == (account.open_id, 3)


async def test_a_renewal_for_another_account_is_refused_and_the_own_tokens_stay(
    api: Api, tiktok: TikTok, running: Running, settings: Settings
) -> None:
    account, other = await tiktok.connect(api.viewer), f"other-{uuid4().hex}"
    before = await stored.pair(running, settings, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, status=200, body=_grant_of(other))
    synced = await sync(running, account)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("SYNC_FAILED", "ACTIVE")
    assert await stored.pair(running, settings, account) == before
    assert await stored.actions(running, api.viewer) == [
        "ACCOUNT_CONNECTED",
        "TOKEN_REFRESH_FAILED",
        "ACCOUNT_SYNC_FAILED",
    ]
    [sealed] = await stored.sealed_pairs(running, api.viewer)
    assert (sealed.lease_id, sealed.attempted_at is None) == (None, False)
    assert (await sync(running, account)).error is None
    assert (await stored.accounts(running, api.viewer))[0].open_id == account.open_id


def _grant_of(open_id: str) -> bytes:
    return (
        f'{{"access_token":"act.other","refresh_token":"rft.other","expires_in":7200,"open_id":"{open_id}"}}'.encode()
    )
