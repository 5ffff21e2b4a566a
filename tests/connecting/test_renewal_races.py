"""Exactly one refresh per expiry, however many need the token at once. `make test-slow` runs 1,000 rounds."""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.support.renewing import renewer
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.wiring import Running

pytestmark = pytest.mark.proof

ROUNDS = int(os.environ.get("TEST_ROUNDS", "10"))
MANY = 8


async def expire(running: Running, tiktok: TikTok, account: Account) -> None:
    """Here and at TikTok."""
    tiktok.sandbox.state.expire_access_token(account.open_id)
    past = utc_now() - timedelta(minutes=1)
    async with running.db.transaction() as session:
        expired = update(TokenPair).where(col(TokenPair.account_id) == account.id)
        await session.execute(expired.values(expires_at=past, issued_at=past - timedelta(hours=2)))


def refreshes(tiktok: TikTok, account: Account) -> list[str | None]:
    """What TikTok said to each."""
    calls = tiktok.sandbox.state.calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    return [call.error for call in calls]


def refused(tiktok: TikTok) -> int:
    calls = tiktok.sandbox.state.calls(TOKEN_PATH, kind="refresh_token")
    return sum(call.error == "invalid_grant" for call in calls)


def is_newest(tiktok: TikTok, account: Account, token: str) -> bool:
    grant = tiktok.sandbox.state.find(account.open_id)
    return grant is not None and grant.access_token == token


async def test_many_processes_refresh_once(running: Running, tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    before = refused(tiktok)
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(renewer(settings)) for _ in range(MANY)]
        processes = [await one for one in starting]
        for done in range(ROUNDS):
            await expire(running, tiktok, account)
            answers = await asyncio.gather(*[process.ask(account) for process in processes])
            assert len(set(answers)) == 1, answers
            assert is_newest(tiktok, account, answers[0]), answers
            assert refreshes(tiktok, account) == [None] * (done + 1)
    assert refused(tiktok) == before


async def test_many_tasks_refresh_once(running: Running, tiktok: TikTok, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    tokens = running.tokens
    for done in range(ROUNDS):
        await expire(running, tiktok, account)
        answers = await asyncio.gather(*[tokens.get_access_token(Viewer(id=viewer), account.id) for _ in range(MANY)])
        assert len(set(answers)) == 1
        assert refreshes(tiktok, account) == [None] * (done + 1)
