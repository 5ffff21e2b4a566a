"""What passes is tried again, later each time and five times at most; what the user has to mend is not."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.support.batches import Scene
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncResult
from tiktok_accounts_gql.errors import TikTokRateLimited, TikTokUnavailable
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.sync.retries import FIRST_RETRY, LONGEST_RETRY, MAX_ATTEMPTS, retry_in
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH


async def result_of(scene: Scene, job: SyncJob) -> SyncResult:
    async with scene.running.db.read() as session:
        return (await session.scalars(select(SyncResult).where(col(SyncResult.job_id) == job.id))).one()


async def test_a_failure_that_passes_is_tried_five_times(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 1)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=429, error="rate_limit_exceeded", times=None))
    job = await scene.start(viewer)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert (await scene.job(job)).finished_at is None
        await scene.run(job)
        assert len(scene.calls()) == attempt
    await scene.run(job)
    assert len(scene.calls()) == MAX_ATTEMPTS == 5
    result = await result_of(scene, job)
    assert (result.attempts, result.error_code) == (5, "TIKTOK_RATE_LIMITED")
    assert (await scene.job(job)).state is JobState.FAILED


async def test_what_the_user_has_to_mend_is_not_tried_again(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    scene.sandbox.state.revoke_grant(account.open_id)
    job = await scene.start(viewer)
    await scene.run(job)
    result = await result_of(scene, job)
    assert (result.attempts, result.error_code) == (1, "REAUTHORIZATION_REQUIRED")
    assert (await scene.job(job)).state is JobState.FAILED


@pytest.mark.parametrize("attempts", range(1, 20))
def test_it_waits_twice_as_long_each_time_with_jitter(attempts: int) -> None:
    whole = min(FIRST_RETRY * 2 ** (attempts - 1), LONGEST_RETRY)
    waits = {retry_in(attempts, TikTokUnavailable(retry_after_seconds=900)) for _ in range(20)}
    assert len(waits) > 1
    assert all(whole / 2 <= wait <= whole for wait in waits)


def test_tiktoks_own_word_counts_if_it_is_longer() -> None:
    told = TikTokRateLimited(retry_after_seconds=60, retry_after_from_tiktok=True)
    assert all(timedelta(seconds=60) <= retry_in(1, told) <= timedelta(seconds=66) for _ in range(20))
    short = TikTokRateLimited(retry_after_seconds=1, retry_after_from_tiktok=True)
    assert retry_in(5, short) >= timedelta(seconds=16)
