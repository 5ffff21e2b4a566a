"""What a batch writes is little, and in bulk."""

import asyncio

from tests.support.batches import Scene
from tests.support.statements import counting
from tiktok_accounts_gql.db import sync_jobs
from tiktok_accounts_gql.db.models import JobState

COUNT = 40
GROUPS = 4  # at most, however slow this machine is


async def test_what_is_read_at_the_same_time_is_written_together(scene: Scene, viewer: str) -> None:
    accounts = await scene.accounts(viewer, COUNT + 1)
    job = await scene.start(viewer)
    async with scene.running.db.read() as session:
        first, *results = await sync_jobs.list_pending(session, viewer, job.id)
    await scene.running.job_work.perform(viewer, str(first.id))
    with counting() as statements:
        await asyncio.gather(*(scene.running.job_work.perform(viewer, str(result.id)) for result in results))
    ended = await scene.job(job)
    assert (ended.state, ended.succeeded_count) == (JobState.SUCCEEDED, COUNT + 1)
    assert await scene.synced(viewer) == await scene.snapshots(viewer) == {account.id: 1 for account in accounts}
    assert {
        table: statements.writes_of(table) <= GROUPS + 1 for table in ("snapshots", "audit_events", "sync_jobs")
    } == {
        "snapshots": True,
        "audit_events": True,
        "sync_jobs": True,
    }
    assert sum("pg_notify" in statement for statement in statements) <= GROUPS + 1
    assert statements.writes_of("accounts") == COUNT
