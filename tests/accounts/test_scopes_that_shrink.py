"""Scopes that shrink: what they no longer show is null, nothing is invented, and what is granted is still read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

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
    displayName username bioDescription profileUrl isVerified
    followerCount followingCount likesCount videoCount
    grantedScopes missingScopes status lastSyncedAt
    health { state reason action }
    statsHistory { followerCount }
    growth(days: 7) { followerChange }
  }
  accountsSummary { totalFollowers accountsNeedingAction }
  accounts(filter: { search: "user" }) { totalCount }
}
"""
BASIC, PROFILE, STATS = "user.info.basic", "user.info.profile", "user.info.stats"
FIELDS: Mapping[str, tuple[str, ...]] = {
    PROFILE: ("username", "profileUrl", "isVerified"),
    STATS: ("followerCount", "followingCount", "likesCount", "videoCount"),
}
SCOPES_MISSING = {"state": "DEGRADED", "reason": "SCOPE_MISSING", "action": "GRANT_SCOPES"}
HEALTHY = {"state": "HEALTHY", "reason": None, "action": "NONE"}
SMALLER = [(BASIC,), (BASIC, PROFILE), (BASIC, STATS)]


async def sync(running: Running, account: Account) -> SyncedAccount:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def shown(api: Api, account: Account) -> dict[str, Any]:
    return await api.data(SHOW, id=ids.encode(ids.NodeKind.ACCOUNT, account.id))


async def assert_shown(api: Api, account: Account, scopes: tuple[str, ...], *, points: int) -> dict[str, Any]:
    """Fields of these scopes and no others; health and missingScopes say the same."""
    answer = await shown(api, account)
    seen: dict[str, Any] = answer["account"]
    for scope, names in FIELDS.items():
        assert [name for name in names if seen[name] is None] == ([] if scope in scopes else list(names))
    assert seen["grantedScopes"] == sorted(scopes)
    assert seen["missingScopes"] == [scope for scope in (BASIC, PROFILE, STATS) if scope not in scopes]
    assert seen["health"] == (SCOPES_MISSING if seen["missingScopes"] else HEALTHY)
    assert seen["status"] == "ACTIVE"
    assert seen["displayName"] == account.display_name
    assert len(seen["statsHistory"]) == min(points, 1)  # the last one of the hour
    assert answer["accountsSummary"]["totalFollowers"] == (seen["followerCount"] or 0)
    assert answer["accountsSummary"]["accountsNeedingAction"] == bool(seen["missingScopes"])
    return seen


async def points(running: Running, viewer: str) -> list[int | None]:
    return [point.follower_count for point in await stored.snapshots(running, viewer)]


def read_at(account: Account) -> datetime:
    assert account.last_synced_at is not None
    return account.last_synced_at


def regrant(tiktok: TikTok, account: Account, scopes: tuple[str, ...]) -> None:
    """The user takes scopes back, or gives them again, in TikTok."""
    tiktok.sandbox.state.set_scopes(account.open_id, scopes)


@pytest.mark.parametrize("scopes", SMALLER, ids=",".join)
async def test_connecting_again_with_fewer_scopes_hides_what_they_do_not_show(
    api: Api, tiktok: TikTok, running: Running, scopes: tuple[str, ...]
) -> None:
    account = await tiktok.connect(api.viewer)
    again = await tiktok.connect(api.viewer, account.open_id, scopes=",".join(scopes))
    read = 2 if STATS in scopes else 1
    await assert_shown(api, again, scopes, points=read)
    assert len(await points(running, api.viewer)) == read
    assert (await sync(running, again)).error is None
    seen = await assert_shown(api, again, scopes, points=read)
    assert len(await points(running, api.viewer)) == read + (STATS in scopes)
    assert None not in await points(running, api.viewer)
    assert seen["lastSyncedAt"] > read_at(account).isoformat()
    whole = await tiktok.connect(api.viewer, account.open_id)
    await assert_shown(api, whole, (BASIC, PROFILE, STATS), points=3)


async def test_connecting_again_unread_hides_what_the_scopes_do_not_show(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, status=503)
    again = await tiktok.connect(api.viewer, account.open_id, scopes=BASIC)
    seen = await assert_shown(api, again, (BASIC,), points=1)
    assert seen["lastSyncedAt"].removesuffix("Z") == read_at(account).isoformat().removesuffix("+00:00")
    assert len(await points(running, api.viewer)) == 1


@pytest.mark.parametrize("scopes", SMALLER, ids=",".join)
async def test_a_renewal_that_grants_less_hides_the_rest_at_once(
    api: Api, tiktok: TikTok, running: Running, settings: Settings, scopes: tuple[str, ...]
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(TOKEN_PATH, account, alteration=Alteration(fields={"scope": " ".join(scopes)}))
    token = (await stored.pair(running, settings, account)).access_token
    await running.tokens.get_access_token(Viewer(id=api.viewer), account.id, refused=token)
    await assert_shown(api, account, scopes, points=1)
    regrant(tiktok, account, scopes)
    assert (await sync(running, account)).error is None
    await assert_shown(api, account, scopes, points=1)
    assert None not in await points(running, api.viewer)


@pytest.mark.parametrize("scopes", SMALLER, ids=",".join)
async def test_a_scope_that_is_taken_back_is_noticed_and_the_rest_is_read(
    api: Api, tiktok: TikTok, running: Running, scopes: tuple[str, ...]
) -> None:
    account = await tiktok.connect(api.viewer)
    regrant(tiktok, account, scopes)
    synced = await sync(running, account)
    assert synced.error is None
    await assert_shown(api, account, scopes, points=1)
    [kept] = await stored.accounts(running, api.viewer)
    assert kept.last_synced_at == synced.synced_at
    assert len(await points(running, api.viewer)) == 1 + (STATS in scopes)
    before = tiktok.user_infos(account.open_id)
    assert (await sync(running, account)).error is None
    assert tiktok.user_infos(account.open_id) == before + 1  # what was refused is not asked for again


async def test_a_scope_that_is_taken_back_after_a_renewal_is_noticed(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    regrant(tiktok, account, (BASIC, STATS))
    assert (await sync(running, account)).error is None
    await assert_shown(api, account, (BASIC, STATS), points=2)


async def test_scopes_that_come_back_with_a_renewal_are_read_again(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    regrant(tiktok, account, (BASIC,))
    await sync(running, account)
    await assert_shown(api, account, (BASIC,), points=1)
    regrant(tiktok, account, (BASIC, PROFILE, STATS))
    tiktok.sandbox.state.expire_access_token(account.open_id)
    for _ in range(2):  # the first one reads with the scopes that it knew
        assert (await sync(running, account)).error is None
    await assert_shown(api, account, (BASIC, PROFILE, STATS), points=2)


async def test_one_odd_refusal_costs_no_scope(api: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, status=401, error="scope_not_authorized")
    assert (await sync(running, account)).error is None
    await assert_shown(api, account, (BASIC, PROFILE, STATS), points=2)


async def test_if_nothing_may_be_read_health_and_the_missing_scopes_agree(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    account = await tiktok.connect(api.viewer)
    tiktok.fail(USER_INFO_PATH, account, times=None, status=401, error="scope_not_authorized")
    try:
        synced = await sync(running, account)
        assert synced.error is not None
        assert synced.error.code == "SCOPE_MISSING"
        await assert_shown(api, account, (), points=1)
        assert (await sync(running, account)).error is not None
    finally:
        tiktok.sandbox.faults.clear()
    assert len(await points(running, api.viewer)) == 1
    assert (await sync(running, account)).error is None
    await assert_shown(api, account, (BASIC,), points=1)


@pytest.mark.parametrize("scope", ["", None, "nothing.known", {}], ids=str)
async def test_a_renewal_without_a_known_scope_changes_none(
    api: Api, tiktok: TikTok, running: Running, scope: object
) -> None:
    account = await tiktok.connect(api.viewer, scopes=f"{BASIC},{STATS}")
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, alteration=Alteration(fields={"scope": scope}))
    assert (await sync(running, account)).error is None
    await assert_shown(api, account, (BASIC, STATS), points=2)
