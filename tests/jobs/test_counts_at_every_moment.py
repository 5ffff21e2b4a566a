"""Whatever happens to a batch in its middle, its counts add up at every moment, and it ends."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.support.batches import Scene
from tests.support.unreadable import READABLE_COUNT, UNREADABLE_BODIES, add_accounts
from tests.support.waiting import until
from tiktok_accounts_gql.db.models import Account, JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.errors import JobFinished, NotFound
from tiktok_accounts_gql.services.viewer import Viewer

pytestmark = pytest.mark.proof
ENDS_WITHIN_SECONDS = 20


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


async def adds_up(scene: Scene, job: SyncJob) -> SyncJob:
    """Job and results as one statement finds them."""
    joined = select(SyncJob, col(SyncResult.outcome)).join(SyncResult, col(SyncResult.job_id) == col(SyncJob.id))
    async with scene.running.db.read() as session:
        rows = (await session.execute(joined.where(col(SyncJob.id) == job.id))).all()
    now, outcomes = rows[0][0], [outcome for _, outcome in rows]
    counted = {one: outcomes.count(one) for one in SyncOutcome}
    assert counted == {
        SyncOutcome.PENDING: now.pending_count,
        SyncOutcome.SUCCEEDED: now.succeeded_count,
        SyncOutcome.FAILED: now.failed_count,
        SyncOutcome.CANCELED: now.canceled_count,
    }
    assert sum(counted.values()) == now.total_count
    assert (now.finished_at is None) == (now.pending_count > 0) == (now.state in ("QUEUED", "RUNNING", "CANCELING"))
    return now


async def worked_on(scene: Scene, job: SyncJob, chance: random.Random) -> None:
    """As by several workers that take what is pending in any order, some of it twice, until it has ended."""
    while not (await adds_up(scene, job)).finished_at:
        async with scene.running.db.read() as session:
            pending = select(col(SyncResult.id)).where(
                col(SyncResult.job_id) == job.id, col(SyncResult.outcome) == SyncOutcome.PENDING
            )
            ids = [str(one) for one in await session.scalars(pending)]
        some = chance.sample(ids, k=min(4, len(ids)))
        await asyncio.gather(*[scene.running.job_runner.sync_result(job.viewer_id, one) for one in [*some, *some[:1]]])


async def observed(scene: Scene, job: SyncJob) -> None:
    async def has_ended() -> bool:
        return (await adds_up(scene, job)).finished_at is not None

    await until(has_ended, seconds=ENDS_WITHIN_SECONDS)


async def cancel(scene: Scene, job: SyncJob, accounts: Sequence[Account]) -> None:
    del accounts
    try:
        answered = await scene.running.services.jobs.cancel(Viewer(id=job.viewer_id), job.id)
    except JobFinished:
        return
    assert answered.job.state in (JobState.CANCELING, JobState.CANCELED)


async def disconnect(scene: Scene, job: SyncJob, accounts: Sequence[Account]) -> None:
    for account in accounts[::3]:
        await scene.running.services.accounts.disconnect(Viewer(id=job.viewer_id), account.id, None)


async def sync_beside(scene: Scene, job: SyncJob, accounts: Sequence[Account]) -> None:
    for account in accounts[::2]:
        with suppress(NotFound):  # disconnected
            await scene.running.services.syncing.sync(Viewer(id=job.viewer_id), account.id)


MEANWHILE: dict[str, Sequence[Callable[[Scene, SyncJob, Sequence[Account]], Awaitable[None]]]] = {
    "canceled": [cancel],
    "disconnected": [disconnect],
    "all at once": [cancel, disconnect, sync_beside, cancel],
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_two_viewers_batches_of_nonsense_add_up_and_end(
    scene: Scene, viewer: str, meanwhile: Sequence[Callable[..., Awaitable[None]]]
) -> None:
    chance = random.Random()
    batches = []
    for owner in (viewer, f"other-{viewer}"):
        bad, good = await add_accounts(scene, owner)
        batches.append((await scene.start(owner), [*bad, *good]))
    [(job, accounts), (other, _)] = batches

    async def interfere() -> None:
        await scene.wait_until_started(job)
        await asyncio.sleep(chance.uniform(0, 0.4))  # at any moment
        await asyncio.gather(*[act(scene, job, accounts) for act in meanwhile])

    async with asyncio.timeout(ENDS_WITHIN_SECONDS):
        await asyncio.gather(
            *[worked_on(scene, one, chance) for one in (job, other)],
            *[observed(scene, one) for one in (job, other)],
            interfere(),
        )
    now, untouched = await adds_up(scene, job), await adds_up(scene, other)
    assert (untouched.state, untouched.succeeded_count, untouched.failed_count) == (
        JobState.PARTIALLY_FAILED,
        READABLE_COUNT,
        len(UNREADABLE_BODIES),
    )
    if cancel not in meanwhile:
        assert now.state in (JobState.PARTIALLY_FAILED, JobState.SUCCEEDED)
    elif now.canceled_count:
        assert now.state is JobState.CANCELED
