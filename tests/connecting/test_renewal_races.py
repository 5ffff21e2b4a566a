"""Exactly one refresh per expiry, however many need the token at once. `make test-slow` runs 1,000 rounds."""

import asyncio
import os
from contextlib import AsyncExitStack

import pytest

from tests.connecting.tokens import expire_access_token, is_issued_token
from tests.support.renewing import renewer
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import TOKEN_PATH
from tiktok_accounts_gql.wiring import Running

pytestmark = pytest.mark.proof

ROUNDS = int(os.environ.get("TEST_ROUNDS", "10"))
MANY = 8


def refreshes(tiktok: TikTok, account: Account) -> list[str | None]:
    """What TikTok said to each."""
    calls = tiktok.sandbox.state.list_calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    return [call.error for call in calls]


def refused(tiktok: TikTok) -> int:
    calls = tiktok.sandbox.state.list_calls(TOKEN_PATH, kind="refresh_token")
    return sum(call.error == "invalid_grant" for call in calls)


async def test_many_processes_refresh_once(running: Running, tiktok: TikTok, settings: Settings, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    before = refused(tiktok)
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(renewer(settings)) for _ in range(MANY)]
        processes = [await one for one in starting]
        for done in range(ROUNDS):
            await expire_access_token(running, tiktok, account)
            answers = await asyncio.gather(*[process.ask(account) for process in processes])
            assert len(set(answers)) == 1, answers
            assert is_issued_token(tiktok, account, answers[0]), answers
            assert refreshes(tiktok, account) == [None] * (done + 1)
    assert refused(tiktok) == before


async def test_many_tasks_refresh_once(running: Running, tiktok: TikTok, viewer: str) -> None:
    account = await tiktok.connect(viewer)
    tokens = running.tokens
    for done in range(ROUNDS):
        await expire_access_token(running, tiktok, account)
        answers = await asyncio.gather(*[tokens.get_access_token(Viewer(id=viewer), account.id) for _ in range(MANY)])
        assert len(set(answers)) == 1
        assert refreshes(tiktok, account) == [None] * (done + 1)
