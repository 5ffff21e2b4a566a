"""From an authorization code to a stored account, and what TikTok's withdrawal leaves of it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.connecting import stored
from tests.support.server import Api
from tests.support.statements import listening_to_statements
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.errors import (
    AuthorizationCodeInvalid,
    ConnectedElsewhere,
    TikTokRateLimited,
    TikTokUnavailable,
)
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount
from tiktok_accounts_gql.services.connections import CodeExchange
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

ACCOUNT = """
query Account($id: ID!) {
  account(id: $id) {
    displayName username status lastError grantedScopes missingScopes lastSyncedAt
    followerCount followingCount likesCount videoCount
  }
}
"""
AUDIT = """
query Audit {
  auditEvents(filter: { action: [AUTHORIZATION_REMOVED] }) {
    edges { node { action actor accountId account { status lastError } details { name value previousValue } } }
  }
}
"""
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: { id: $id }) { userErrors { code } } }"
ALL_SCOPES = ["user.info.basic", "user.info.profile", "user.info.stats"]


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


async def disconnect(api: Api, connected: ConnectedAccount) -> None:
    answer = await api.data(DISCONNECT, id=ids.encode(ids.NodeKind.ACCOUNT, connected.account.id))
    assert answer["disconnectAccount"]["userErrors"] == []


@contextmanager
def breaking(statement: str) -> Iterator[None]:
    """The database breaks down once, at the next statement that begins like this."""
    seen: list[str] = []

    def break_down(sent_statement: str, _parameters: Any) -> None:
        if sent_statement.startswith(statement) and not seen:
            seen.append(sent_statement)
            raise RuntimeError("The disk is full.")

    with listening_to_statements(break_down):
        yield
    assert seen


async def test_a_new_account_is_stored_as_tiktok_shows_it(
    tiktok: TikTok, running: Running, viewer: str, open_id: str
) -> None:
    before = utc_now()
    connected = await tiktok.connected(viewer, open_id)
    [account] = await stored.accounts(running, viewer)
    assert (connected.reconnected, connected.account) == (False, account)
    shown, later = (SandboxUser.of(open_id).fields_at(time.timestamp()) for time in (before, utc_now()))
    for name in ("open_id", "union_id", "display_name", "username", "bio_description", "is_verified"):
        assert getattr(account, name) == shown[name]
    for name in ("follower_count", "following_count", "likes_count", "video_count"):
        assert shown[name] <= getattr(account, name) <= later[name]  # they grow while a test runs
    assert (account.status, account.last_error, account.granted_scopes) == ("ACTIVE", None, ALL_SCOPES)
    assert account.last_synced_at == account.connected_at == account.created_at
    assert account.token_expires_at is not None
    assert account.reauthorize_by is not None
    assert timedelta(hours=2) <= account.token_expires_at - before + timedelta(seconds=5) < timedelta(hours=3)
    assert timedelta(days=180) <= account.reauthorize_by - before + timedelta(seconds=5) < timedelta(days=181)


async def test_a_new_account_has_a_snapshot_sealed_tokens_and_an_event(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, open_id: str
) -> None:
    account = await tiktok.connect(viewer, open_id)
    [snapshot] = await stored.snapshots(running, viewer)
    assert (snapshot.recorded_at, snapshot.likes_count) == (account.last_synced_at, account.likes_count)
    [connected] = await stored.events(running, viewer)
    assert (connected.action, connected.actor, connected.account_id) == ("ACCOUNT_CONNECTED", "USER", account.id)
    assert connected.details == [{"name": "grantedScopes", "value": ",".join(ALL_SCOPES), "previousValue": None}]
    grant, pair = tiktok.sandbox.state.find_grant(open_id), await stored.pair(running, settings, account)
    assert grant is not None
    assert (pair.access_token, pair.refresh_token) == (grant.access_token, grant.refresh_token)


@pytest.mark.parametrize("table", ["accounts", "token_pairs", "snapshots", "audit_events"])
async def test_it_is_stored_whole_and_once_although_the_database_broke_down_in_the_middle(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, table: str
) -> None:
    with breaking(f"INSERT INTO {table} "):
        account = await tiktok.connect(viewer)
    grant = tiktok.sandbox.state.find_grant(account.open_id)
    assert grant is not None
    assert (await stored.pair(running, settings, account)).refresh_token == grant.refresh_token
    counts = await stored.counts(running, viewer)
    assert {name: counts[name] for name in ("accounts", "token_pairs", "snapshots")} == {
        "accounts": 1,
        "token_pairs": 1,
        "snapshots": 1,
    }
    assert await stored.actions(running, viewer) == ["ACCOUNT_CONNECTED"]


async def test_connected_again_it_is_the_same_account_with_its_history(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, open_id: str
) -> None:
    first = await tiktok.connect(viewer, open_id)
    old = await stored.pair(running, settings, first)
    again = await tiktok.connected(viewer, open_id)
    assert (again.reconnected, again.account.id) == (True, first.id)
    assert again.account.created_at == first.created_at
    assert again.account.connected_at > first.connected_at
    assert len(await stored.accounts(running, viewer)) == 1
    assert len(await stored.snapshots(running, viewer)) == 2
    assert await stored.actions(running, viewer) == ["ACCOUNT_CONNECTED", "ACCOUNT_RECONNECTED"]
    new = await stored.pair(running, settings, first)
    assert {old.access_token, old.refresh_token}.isdisjoint({new.access_token, new.refresh_token})


async def test_connected_again_an_expired_account_is_active(
    tiktok: TikTok, running: Running, viewer: str, open_id: str
) -> None:
    account = await tiktok.connect(viewer, open_id)
    tiktok.sandbox.state.revoke_grant(open_id)
    await running.services.syncing.sync(Viewer(id=viewer), account.id)
    [expired] = await stored.accounts(running, viewer)
    assert (expired.status, expired.last_error is None) == ("EXPIRED", False)
    again = await tiktok.connect(viewer, open_id)
    assert (again.status, again.last_error) == ("ACTIVE", None)
    assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None


async def test_what_another_viewer_connected_is_connected_elsewhere(
    tiktok: TikTok, running: Running, viewer: str, open_id: str
) -> None:
    await tiktok.connect(f"another-{viewer}", open_id)
    with pytest.raises(ConnectedElsewhere):
        await tiktok.connect(viewer, open_id)
    assert await stored.has_no_rows(running, viewer)


async def test_once_the_other_viewer_has_left_it_can_be_connected(
    api: Api, stranger: Api, tiktok: TikTok, open_id: str
) -> None:
    await disconnect(stranger, await tiktok.connected(stranger.viewer, open_id))
    assert (await tiktok.connected(api.viewer, open_id)).reconnected is False


async def test_what_i_left_and_another_viewer_connected_is_connected_elsewhere(
    api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    await disconnect(api, await tiktok.connected(api.viewer, open_id))
    await tiktok.connect(f"another-{api.viewer}", open_id)
    with pytest.raises(ConnectedElsewhere):
        await tiktok.connect(api.viewer, open_id)
    [mine] = await stored.accounts(running, api.viewer)
    assert mine.disconnected_at is not None
    assert await stored.sealed_pairs(running, api.viewer) == []


async def test_in_a_race_of_two_viewers_exactly_one_gets_it(tiktok: TikTok, running: Running, viewer: str) -> None:
    for turn in range(5):
        viewers = [f"{viewer}-{turn}-{number}" for number in range(2)]
        open_id = f"user-{uuid4().hex}"
        outcomes = await asyncio.gather(
            *[tiktok.connected(viewer, open_id) for viewer in viewers], return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConnectedAccount", "ConnectedElsewhere"]
        assert sorted([len(await stored.accounts(running, viewer)) for viewer in viewers]) == [0, 1]


async def test_two_connects_at_once_by_the_same_viewer_make_one_account(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    for turn in range(5):
        one, open_id = f"{viewer}-{turn}", f"user-{uuid4().hex}"
        outcomes = await asyncio.gather(*[tiktok.connected(one, open_id) for _ in range(2)])
        assert sorted(outcome.reconnected for outcome in outcomes) == [False, True]
        assert len(await stored.accounts(running, one)) == 1
        assert len(await stored.sealed_pairs(running, one)) == 1


async def test_a_used_code_is_invalid(tiktok: TikTok, running: Running, viewer: str, open_id: str) -> None:
    code, connections = await tiktok.code(open_id), running.services.connections
    await connections.connect(Viewer(id=viewer), CodeExchange(code=code, redirect_uri=tiktok.redirect_uri))
    thief = f"thief-{viewer}"
    with pytest.raises(AuthorizationCodeInvalid):
        await connections.connect(Viewer(id=thief), CodeExchange(code=code, redirect_uri=tiktok.redirect_uri))
    assert await stored.has_no_rows(running, thief)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 503}, TikTokUnavailable),
        ({"status": 500, "error": "server_error"}, TikTokUnavailable),
        ({"drop": True}, TikTokUnavailable),
        ({"status": 200, "body": b"<html>"}, TikTokUnavailable),
        ({"status": 429, "error": "rate_limit_exceeded", "headers": {"Retry-After": "9" * 20}}, TikTokRateLimited),
    ],
)
async def test_while_tiktok_exchanges_nothing_nothing_is_stored(
    tiktok: TikTok, running: Running, viewer: str, fault: dict[str, Any], error: type[Exception]
) -> None:
    tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, **fault))
    with pytest.raises(error):
        await tiktok.connect(viewer)
    assert await stored.has_no_rows(running, viewer)


async def test_an_account_that_cannot_be_read_is_connected_and_read_later(
    api: Api, tiktok: TikTok, running: Running, open_id: str
) -> None:
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, status=500))
    account = await tiktok.connect(api.viewer, open_id)
    assert (account.display_name, account.username) == (open_id[:8], None)
    assert (account.last_synced_at, account.follower_count, account.status) == (None, None, "ACTIVE")
    assert await stored.snapshots(running, api.viewer) == []
    assert await stored.actions(running, api.viewer) == ["ACCOUNT_CONNECTED"]
    assert (await running.services.syncing.sync(Viewer(id=api.viewer), account.id)).error is None
    read = (await api.data(ACCOUNT, id=ids.encode(ids.NodeKind.ACCOUNT, account.id)))["account"]
    assert read["displayName"] == SandboxUser.of(open_id).display_name
    assert len(await stored.snapshots(running, api.viewer)) == 1


async def test_connected_again_while_it_cannot_be_read_it_keeps_what_was_read(
    tiktok: TikTok, running: Running, viewer: str, open_id: str
) -> None:
    first = await tiktok.connect(viewer, open_id)
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, status=500))
    again = await tiktok.connect(viewer, open_id)
    assert (again.display_name, again.follower_count) == (first.display_name, first.follower_count)
    assert again.last_synced_at == first.last_synced_at
    assert len(await stored.snapshots(running, viewer)) == 1


async def test_with_fewer_scopes_the_rest_is_null_and_told(api: Api, tiktok: TikTok) -> None:
    account = await tiktok.connect(api.viewer, scopes="user.info.basic")
    seen = (await api.data(ACCOUNT, id=ids.encode(ids.NodeKind.ACCOUNT, account.id)))["account"]
    counters = [seen[name] for name in ("followerCount", "followingCount", "likesCount", "videoCount")]
    assert (counters, seen["username"]) == ([None] * 4, None)
    assert seen["displayName"] == account.display_name
    assert seen["grantedScopes"] == ["user.info.basic"]
    assert sorted(seen["missingScopes"]) == ["user.info.profile", "user.info.stats"]
    assert (seen["status"], seen["lastError"]) == ("ACTIVE", None)


async def test_a_name_that_no_database_can_hold_is_no_obstacle(tiktok: TikTok, viewer: str, open_id: str) -> None:
    user = {"open_id": open_id, "display_name": "A\0nn", "bio_description": "\0"}
    body = json.dumps({"data": {"user": user}, "error": {"code": "ok"}}).encode()
    tiktok.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=open_id, status=200, body=body))
    account = await tiktok.connect(viewer, open_id)
    assert (account.display_name, account.bio_description) == ("Ann", "")


async def test_a_withdrawn_account_is_inactive_and_keeps_no_tokens(
    tiktok: TikTok, running: Running, viewer: str
) -> None:
    account, other = await tiktok.connect(viewer), await tiktok.connect(viewer)
    await running.services.removals.remove(account.open_id, 1, utc_now())
    stored_account, untouched = await stored.accounts(running, viewer)
    assert (stored_account.status, stored_account.token_expires_at, stored_account.disconnected_at) == (
        "INACTIVE",
        None,
        None,
    )
    assert stored_account.last_error is not None
    assert (untouched, len(await stored.snapshots(running, viewer))) == (other, 2)
    assert [pair.account_id for pair in await stored.sealed_pairs(running, viewer)] == [other.id]


async def test_a_withdrawal_is_an_event_by_tiktok(api: Api, stranger: Api, tiktok: TikTok, running: Running) -> None:
    account = await tiktok.connect(api.viewer)
    await running.services.removals.remove(account.open_id, 1, utc_now())
    [edge] = (await api.data(AUDIT))["auditEvents"]["edges"]
    removed = edge["node"]
    assert (removed["actor"], removed["accountId"]) == ("TIKTOK", ids.encode(ids.NodeKind.ACCOUNT, account.id))
    assert removed["account"]["status"] == "INACTIVE"
    assert removed["details"] == [{"name": "reason", "value": "The user withdrew it in TikTok.", "previousValue": None}]
    assert (await stranger.data(AUDIT))["auditEvents"]["edges"] == []


async def test_a_withdrawn_account_asks_for_a_connection_and_comes_back_by_it(
    tiktok: TikTok, running: Running, viewer: str, open_id: str
) -> None:
    account = await tiktok.connect(viewer, open_id)
    await running.services.removals.remove(open_id, 1, utc_now())
    synced = await running.services.syncing.sync(Viewer(id=viewer), account.id)
    assert synced.error is not None
    assert (synced.error.code, synced.account.status) == ("REAUTHORIZATION_REQUIRED", "INACTIVE")
    again = await tiktok.connected(viewer, open_id)
    assert (again.reconnected, again.account.id, again.account.status) == (True, account.id, "ACTIVE")


async def test_a_withdrawal_of_what_nobody_connected_changes_nothing(
    running: Running, api_of: Callable[[str], Api], tiktok: TikTok, viewer: str, open_id: str
) -> None:
    await disconnect(api_of(viewer), await tiktok.connected(viewer, open_id))
    before = await stored.actions(running, viewer)
    await running.services.removals.remove(open_id, 5, utc_now())
    await running.services.removals.remove(f"nobody-{open_id}", 5, utc_now())
    assert await stored.actions(running, viewer) == before
