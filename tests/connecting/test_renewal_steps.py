"""What a renewal holds while TikTok answers, whose clock its lease goes by, and what it does with a refused token."""

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from tests.cli.serving import run_server
from tests.connecting import stored
from tests.connecting.tokens import get_issued_pair, sync
from tests.support.account_operations import SYNC
from tests.support.tapping import tapped
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.errors import ReauthorizationRequired
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.tiktok.errors import Unavailable
from tiktok_accounts_gql.wiring import Running, open_services

LATER = timedelta(days=1)


async def change_pair(running: Running, account: Account, **values: Any) -> None:
    async with running.db.transaction() as session:
        await session.execute(update(TokenPair).where(col(TokenPair.account_id) == account.id).values(**values))


async def token(running: Running, account: Account) -> str:
    return await running.tokens.get_access_token(Viewer(id=account.viewer_id), account.id)


async def wear(tiktok: TikTok, account: Account) -> None:
    """Time for a renewal."""
    tiktok.sandbox.state.expire_access_token(account.open_id)
    await change_pair(tiktok.running, account, expires_at=utc_now())


async def refresh_begins(running: Running, account: Account) -> None:
    """The attempt is committed before TikTok is asked."""
    async with asyncio.timeout(10):
        while (await stored.sealed_pairs(running, account.viewer_id))[0].lease_id is None:  # noqa: ASYNC110 - of a row
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("left", "refreshes"), [(70, 0), (50, 1)])
async def test_of_a_short_lifetime_a_tenth_is_left(
    tiktok: TikTok, running: Running, viewer: str, left: int, refreshes: int
) -> None:
    account, now = await tiktok.connect(viewer), utc_now()
    expires_at = now + timedelta(seconds=left)
    await change_pair(running, account, issued_at=expires_at - timedelta(minutes=10), expires_at=expires_at)
    assert (await sync(running, account)).error is None
    assert tiktok.refreshes(account.open_id) == refreshes


async def test_no_row_and_no_transaction_is_held_while_tiktok_answers(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=1.5, passthrough=True)
    impatient = Database.open(settings.database_url, busy_timeout=0.3)
    async with open_services(settings) as other:
        renewing = asyncio.create_task(sync(other, account))
        await refresh_begins(running, account)
        async with impatient.transaction() as session:  # it would wait for a lock, and fail
            if session.get_bind().dialect.name == "postgresql":
                await session.execute(text("SET LOCAL lock_timeout = 300"))
            for table, key in (("accounts", "id"), ("token_pairs", "account_id")):
                touched = text(f"UPDATE {table} SET viewer_id = viewer_id WHERE {key} = :id")
                await session.execute(touched.bindparams(id=stored_id(session, account)))
        assert not renewing.done()
        assert (await renewing).error is None
    await impatient.close()


def stored_id(session: Any, account: Account) -> Any:
    return account.id if session.get_bind().dialect.name == "postgresql" else account.id.hex


async def test_a_lease_goes_by_the_databases_clock(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """A process whose clock is a day ahead takes no lease for ended."""
    account = await tiktok.connect(viewer)
    await wear(tiktok, account)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=0.8, passthrough=True)
    ahead: Callable[[], datetime] = lambda: utc_now() + LATER  # noqa: E731
    async with open_services(settings) as right, open_services(settings, clock=ahead) as wrong:
        first = asyncio.create_task(token(right, account))
        await refresh_begins(running, account)
        assert await token(wrong, account) == await first
    refreshes = tiktok.sandbox.state.list_calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    assert [call.error for call in refreshes] == [None]


async def test_sigterm_loses_no_new_pair(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, tmp_path: Path
) -> None:
    account = await tiktok.connect(viewer)
    before = get_issued_pair(tiktok, account)
    tiktok.sandbox.state.expire_access_token(account.open_id)
    tiktok.fail(TOKEN_PATH, account, delay_seconds=1.5, passthrough=True)
    async with run_server(tmp_path, settings, viewer, "--no-worker") as (server, api):
        asked = asyncio.create_task(api.post(SYNC, {"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)}))
        await refresh_begins(running, account)
        assert tiktok.refreshes(account.open_id) == 0
        assert await asyncio.to_thread(server.end, signal.SIGTERM, seconds=20) == 0
        await asyncio.gather(asked, return_exceptions=True)
    assert await stored.pair(running, settings, account) == get_issued_pair(tiktok, account) != before


async def test_a_refusal_counts_only_if_nobody_else_has_rotated_meanwhile(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str
) -> None:
    """The lease of a slow one ends, another one rotates, and then TikTok refuses the slow one's old token."""
    account = await tiktok.connect(viewer)
    await wear(tiktok, account)
    others: list[str] = []

    async def another_rotates(data: bytes) -> bytes:
        if b"grant_type=refresh_token" in data:
            await change_pair(running, account, lease_until=account.created_at)
            others.append(await token(running, account))
        return data

    async with tapped(settings.tiktok_api_url) as wire:
        wire.on_request = another_rotates
        async with open_services(settings.model_copy(update={"tiktok_api_url": wire.url})) as slow:
            assert [await token(slow, account)] == others
    refreshes = tiktok.sandbox.state.list_calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    assert [call.error for call in refreshes] == [None, "invalid_grant"]
    assert "TOKEN_REFRESH_FAILED" not in await stored.actions(running, viewer)
    assert await stored.pair(running, settings, account) == get_issued_pair(tiktok, account)


@pytest.mark.parametrize("ambiguous", [True, False])
async def test_the_token_before_is_tried_once_and_only_after_an_outcome_that_nobody_knows(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, *, ambiguous: bool
) -> None:
    account = await tiktok.connect(viewer)
    first = get_issued_pair(tiktok, account)
    await wear(tiktok, account)
    await token(running, account)
    await wear(tiktok, account)
    if ambiguous:
        tiktok.fail(TOKEN_PATH, account, drop=True)
        with pytest.raises(Unavailable):
            await token(running, account)
    forgotten = "UPDATE grants SET refresh_token = ? WHERE open_id = ?"  # as if TikTok's last rotation had not happened
    tiktok.sandbox.state._db.execute(forgotten, (first.refresh_token, account.open_id))
    if ambiguous:
        assert await token(running, account) == get_issued_pair(tiktok, account).access_token
        assert await stored.pair(running, settings, account) == get_issued_pair(tiktok, account)
    else:
        with pytest.raises(ReauthorizationRequired):
            await token(running, account)
    [kept] = await stored.accounts(running, viewer)
    assert (kept.status == "ACTIVE") == ambiguous
