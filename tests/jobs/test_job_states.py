"""Every mix of outcomes has one state, counts that add up, and a progress that says what was done."""

import pytest

from tests.support.batches import Scene
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import Account, JobState, SyncJob
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.sync.job_lists import progress
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

WORKS, FAILS, GONE = "works", "fails", "is disconnected"
S, P, F, C = JobState.SUCCEEDED, JobState.PARTIALLY_FAILED, JobState.FAILED, JobState.CANCELED


async def prepared(scene: Scene, viewer: str, fates: list[str]) -> SyncJob:
    """A job of accounts, each with its fate."""
    accounts = await scene.accounts(viewer, len(fates))
    job = await scene.start(viewer, [account.id for account in accounts] or None)
    for account, fate in zip(accounts, fates, strict=True):
        await meet(scene, account, fate)
    return job


async def meet(scene: Scene, account: Account, fate: str) -> None:
    if fate == FAILS:
        scene.sandbox.faults.add(
            Fault(path=USER_INFO_PATH, open_id=account.open_id, status=400, error="invalid_params")
        )
    if fate == GONE:
        await scene.running.services.accounts.disconnect(Viewer(id=account.viewer_id), account.id, None)


def assert_adds_up(job: SyncJob) -> None:
    counts = (job.succeeded_count, job.failed_count, job.canceled_count, job.pending_count)
    assert min(counts) >= 0
    assert sum(counts) == job.total_count
    assert 0 <= progress(job) <= 1


@pytest.mark.parametrize(
    ("fates", "state", "done"),
    [
        ([], S, 1),
        ([WORKS, WORKS], S, 1),
        ([FAILS, FAILS], F, 1),
        ([GONE, GONE], C, 0),
        ([GONE], C, 0),
        ([WORKS, FAILS], P, 1),
        ([WORKS, GONE], S, 1),
        ([FAILS, GONE], F, 1),
        ([WORKS, FAILS, GONE], P, 1),
    ],
    ids=lambda value: ", ".join(value) or "nothing" if isinstance(value, list) else None,
)
async def test_the_state_of_a_job_follows_from_its_outcomes(
    scene: Scene, viewer: str, fates: list[str], state: JobState, done: float
) -> None:
    job = await prepared(scene, viewer, fates)
    assert_adds_up(await scene.job(job))
    await scene.run(job)
    ended = await scene.job(job)
    assert_adds_up(ended)
    assert (ended.state, ended.pending_count, progress(ended)) == (state, 0, done)
    assert (ended.succeeded_count, ended.failed_count, ended.canceled_count) == tuple(
        fates.count(fate) for fate in (WORKS, FAILS, GONE)
    )
    assert ended.finished_at is not None
    assert await scene.running.services.job_lists.estimate_end(Viewer(id=viewer), ended) is None


@pytest.mark.parametrize(
    ("fates", "performed", "state"),
    [
        ([WORKS, WORKS, WORKS], 0, C),
        ([WORKS, WORKS, WORKS], 1, C),
        ([FAILS, WORKS, WORKS], 1, C),
        ([WORKS, FAILS, WORKS], 2, C),
        ([GONE, WORKS, WORKS], 1, C),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else None,
)
async def test_a_canceled_job_stays_at_what_was_done(
    scene: Scene, viewer: str, fates: list[str], performed: int, state: JobState
) -> None:
    job, service = await prepared(scene, viewer, fates), scene.running.services.jobs
    await scene.run_some(job, performed)
    before = await scene.job(job)
    assert_adds_up(before)
    canceled = (await service.cancel(Viewer(id=viewer), job.id)).job
    assert_adds_up(canceled)
    read = sum(fate is not GONE for fate in fates[:performed])
    assert (canceled.state, canceled.pending_count, progress(canceled)) == (state, 0, read / len(fates))
    assert progress(canceled) == progress(before)
    assert canceled.succeeded_count + canceled.failed_count == read
    assert await scene.running.services.job_lists.estimate_end(Viewer(id=viewer), canceled) is None
    assert (await service.cancel(Viewer(id=viewer), job.id)).job.state is C


async def test_progress_never_falls_whatever_happens_on_the_way(scene: Scene, viewer: str) -> None:
    job = await prepared(scene, viewer, [WORKS, GONE, FAILS, WORKS, GONE, WORKS])
    seen = [progress(await scene.job(job))]
    for _ in range(6):
        await scene.run_some(job, 1)
        now = await scene.job(job)
        assert_adds_up(now)
        seen.append(progress(now))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)
    assert utc_now() >= (now.finished_at or utc_now())
