"""What a batch writes is little, and in bulk."""

import asyncio

from tests.support.batches import Scene
from tests.support.statements import counted_statements
from tiktok_accounts_gql.db import sync_jobs
from tiktok_accounts_gql.db.models import JobState

COUNT = 40
FEW = COUNT // 3  # some three in fact, but this machine may be slow


async def test_what_is_read_at_the_same_time_is_written_together(scene: Scene, viewer: str) -> None:
    accounts = await scene.accounts(viewer, COUNT + 1)
    job = await scene.start(viewer)
    async with scene.running.db.read() as session:
        first, *results = await sync_jobs.list_pending(session, viewer, job.id)
    await scene.running.job_runner.sync_result(viewer, str(first.id))
    with counted_statements() as statements:
        await asyncio.gather(*(scene.running.job_runner.sync_result(viewer, str(result.id)) for result in results))
    ended = await scene.job(job)
    assert (ended.state, ended.succeeded_count) == (JobState.SUCCEEDED, COUNT + 1)
    assert (
        await scene.count_syncs(viewer)
        == await scene.count_snapshots(viewer)
        == {account.id: 1 for account in accounts}
    )
    written = {table: statements.writes_of(table) for table in ("accounts", "snapshots", "audit_events", "sync_jobs")}
    assert max(written.values()) <= FEW, written
    assert sum("pg_notify" in statement for statement in statements) <= FEW
    assert statements.writes_of("avatars") <= 3 * FEW
