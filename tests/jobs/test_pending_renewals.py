"""A renewal whose outcome nobody knows yet says nothing about the account; nor do tokens whose key comes back stay broken."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.connecting import stored
from tests.support.batches import Scene
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import Account, JobState, TokenPair
from tiktok_accounts_gql.services.sync.outcomes import BackgroundSync, SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import CallDeferred, RefreshPending

SOON_SECONDS = 5
RENEWED_ELSEWHERE = "The account's authorization is being renewed at this moment. Try again later."


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


async def left_in_doubt(scene: Scene, viewer: str) -> Account:
    """TikTok does not know the stored refresh token: whoever tried last, and told nobody, may hold the next one."""
    [account] = await scene.accounts(viewer, 1)
    scene.sandbox.state.revoke_grant(account.open_id)
    past = utc_now() - timedelta(minutes=1)
    tried = {"lease_id": uuid4(), "lease_until": FromNow(-1), "attempted_at": past, "expires_at": past}
    await change_pair(scene, account, **tried, issued_at=past - timedelta(hours=2))
    return account


async def change_pair(scene: Scene, account: Account, **values: Any) -> None:
    async with scene.running.db.transaction() as session:
        changed = update(TokenPair).where(col(TokenPair.account_id) == account.id).values(**values)
        await session.execute(changed, execution_options={"synchronize_session": False})


async def is_as_before(scene: Scene, viewer: str) -> bool:
    [account] = await stored.accounts(scene.running, viewer)
    health = (account.status, account.health_state, account.health_reason, account.last_error)
    return (*health, account.consecutive_failures) == ("ACTIVE", "HEALTHY", None, None, 0)


async def sync(scene: Scene, account: Account, background: BackgroundSync | None = None) -> SyncedAccount:
    return await scene.running.services.syncing.sync(Viewer(id=account.viewer_id), account.id, background)


async def test_a_sync_during_a_renewal_in_doubt_changes_nothing(scene: Scene, viewer: str) -> None:
    account = await left_in_doubt(scene, viewer)
    synced = await sync(scene, account)
    assert synced.error is not None
    assert (synced.error.code, synced.error.message) == ("TIKTOK_UNAVAILABLE", RENEWED_ELSEWHERE)
    assert synced.error.retry_after_seconds == 45
    assert await is_as_before(scene, viewer)
    assert (await stored.actions(scene.running, viewer))[-1] == "ACCOUNT_SYNC_FAILED"


async def test_work_in_the_background_waits_for_a_renewal_in_doubt(scene: Scene, viewer: str) -> None:
    account = await left_in_doubt(scene, viewer)
    with pytest.raises(RefreshPending):
        await sync(scene, account, BackgroundSync(requested_at=utc_now()))
    assert await is_as_before(scene, viewer)
    assert issubclass(RefreshPending, CallDeferred)  # which is no attempt of a job, and pushes no schedule back


async def test_a_key_that_comes_back_heals_an_account_in_a_job(scene: Scene, viewer: str) -> None:
    """And several at once: none of them keeps the worker busy."""
    accounts = await scene.accounts(viewer, 3)
    pairs = {pair.account_id: pair.access_token for pair in await stored.sealed_pairs(scene.running, viewer)}
    for account in accounts:
        await change_pair(scene, account, access_token=b"sealed by a key that is away")
        synced = await sync(scene, account)
        assert synced.account.health_reason == "TOKENS_UNREADABLE"
    for account in accounts[:2]:
        await change_pair(scene, account, access_token=pairs[account.id])
    job = await scene.start(viewer)
    async with asyncio.timeout(SOON_SECONDS):
        await scene.run(job)
    now = await scene.job(job)
    assert (now.state, now.succeeded_count, now.failed_count) == (JobState.PARTIALLY_FAILED, 2, 1)
    states = [(one.status, one.health_state) for one in await stored.accounts(scene.running, viewer)]
    assert states == [("ACTIVE", "HEALTHY")] * 2 + [("EXPIRED", "BROKEN")]
