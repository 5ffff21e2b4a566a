"""Viewers take turns, whatever number of jobs they have."""

import asyncio
from datetime import timedelta

from sqlalchemy import select, update
from sqlmodel import col

from tests.support.batches import Scene
from tiktok_accounts_gql.db.job_creation import FIRST_TURN
from tiktok_accounts_gql.db.models import SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.services.viewer import Viewer


async def turns(scene: Scene, job: SyncJob) -> list[int]:
    """In the order of the request."""
    wanted = select(col(SyncResult.turn)).where(col(SyncResult.job_id) == job.id).order_by(col(SyncResult.position))
    async with scene.running.db.read() as session:
        return list((await session.scalars(wanted)).all())


async def mark(scene: Scene, job: SyncJob, before: int, **values: object) -> None:
    """As if the first ones of a job had gone so far."""
    first = update(SyncResult).where(col(SyncResult.job_id) == job.id, col(SyncResult.position) < before)
    async with scene.running.db.transaction() as session:
        await session.execute(first.values(**values), execution_options={"synchronize_session": False})


async def test_ten_jobs_of_a_viewer_are_as_one(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 5)
    jobs = await asyncio.gather(*(scene.start(viewer) for _ in range(10)))
    taken = [turn for job in jobs for turn in await turns(scene, job)]
    assert sorted(taken) == list(range(FIRST_TURN, FIRST_TURN + 50))


async def test_who_is_new_begins_where_the_others_are(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 20)
    await scene.accounts(f"new-{viewer}", 3)
    large = await scene.start(viewer)
    await mark(scene, large, 8, outcome=SyncOutcome.SUCCEEDED)
    assert await turns(scene, await scene.start(f"new-{viewer}")) == [FIRST_TURN + 8 + n for n in range(3)]


async def test_what_is_to_be_tried_again_holds_nobody_back_and_lets_nobody_in_front(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 20)
    await scene.accounts(f"new-{viewer}", 1)
    large = await scene.start(viewer)
    await mark(scene, large, 10, outcome=SyncOutcome.SUCCEEDED)
    await mark(scene, large, 2, outcome=SyncOutcome.PENDING, attempts=1)
    assert await turns(scene, await scene.start(f"new-{viewer}")) == [FIRST_TURN + 10]


async def test_once_nobody_waits_turns_begin_anew(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 3)
    await mark(scene, await scene.start(viewer), 3, outcome=SyncOutcome.SUCCEEDED)
    assert await turns(scene, await scene.start(viewer)) == [FIRST_TURN + n for n in range(3)]


async def test_the_guess_of_the_end_counts_what_is_ahead_and_nothing_else(scene: Scene, viewer: str) -> None:
    await scene.accounts(viewer, 40)
    await scene.accounts(f"small-{viewer}", 2)
    large, small, later = [await scene.start(one) for one in (viewer, f"small-{viewer}", viewer)]
    lists = scene.running.services.job_lists
    interval, now = lists.interval, lists.clock()
    expected = {large.id: 42, small.id: 4, later.id: 82}
    for job in (large, small, later):
        end = await lists.estimate_end(Viewer(id=job.viewer_id), job)
        assert end is not None
        assert timedelta(0) <= end - now - interval * expected[job.id] < timedelta(seconds=5)
