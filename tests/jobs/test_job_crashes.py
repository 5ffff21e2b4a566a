"""Processes that are killed or ended in the middle of a batch. `make test-slow` does so 50 times on each database.

SQLite: the one process starts again. PostgreSQL: the other process takes over without help.
"""

import asyncio
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.cli.serving import run_server
from tests.support.backends import on_postgresql
from tests.support.batches import Scene
from tests.support.working import FAST, Worker, workers
from tiktok_accounts_gql.background import HEARTBEAT
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

pytestmark = pytest.mark.proof

KILLS = int(os.environ.get("TEST_JOB_KILLS", "3"))
BATCH = int(os.environ.get("TEST_JOB_BATCH", "40"))
LIVING = HEARTBEAT if "TEST_JOB_KILLS" in os.environ else FAST  # production's takes a minute
LONGEST = 3 * BATCH / 300
AFTER_RESTART, WITHOUT_RESTART = 30, 90


async def test_a_killed_process_loses_nothing_and_does_nothing_twice(
    scene: Scene, viewer: str, backend: str, tmp_path: Path
) -> None:
    accounts = await scene.accounts(viewer, BATCH)
    alone, heartbeat = backend == "sqlite", None if backend == "sqlite" else FAST
    longest, interrupted, most = 0.0, 0, 0
    with workers(1 if alone else 2, tmp_path, scene.settings, heartbeat=heartbeat) as running:
        for number in range(KILLS):
            began, job = time.time(), await scene.start(viewer)
            await scene.wait_until_synced(job, 1)
            await asyncio.sleep(random.uniform(0.0, LONGEST))
            interrupted += (await scene.job(job)).finished_at is None
            running.pop(0).kill()
            if alone:
                running.append(Worker.start(tmp_path, scene.settings))
            since = time.monotonic()
            ended = await scene.wait_until_ended(job, seconds=AFTER_RESTART if alone else WITHOUT_RESTART)
            longest = max(longest, time.monotonic() - since)
            extra = await check_round(scene, viewer, ended, number + 1, began)
            assert 0 <= extra <= scene.settings.worker_concurrency
            most = max(most, extra)
            if not alone:
                running.append(Worker.start(tmp_path, scene.settings, heartbeat=heartbeat))
        assert all(times == KILLS for times in (await scene.count_snapshots(viewer)).values())
    check_integrity(scene)
    said = f"{KILLS} kills on {backend}, {interrupted} within a batch of {len(accounts)}: ended after {longest:.1f} s"
    print(f"{said}, at most {most} calls more than accounts")  # noqa: T201


async def check_round(scene: Scene, viewer: str, job: SyncJob, jobs: int, began: float) -> int:
    """Returns how many calls TikTok saw beyond one per account."""
    assert job.state is JobState.SUCCEEDED, await scene.count_outcomes(job)
    assert await scene.count_outcomes(job) == {SyncOutcome.SUCCEEDED: BATCH}
    assert job.succeeded_count == job.total_count == BATCH
    for counted in (await scene.count_syncs(viewer), await scene.count_snapshots(viewer)):
        assert counted.total() == BATCH * jobs
        assert set(counted.values()) == {jobs}
    return len(scene.calls(since=began)) - BATCH


def check_integrity(scene: Scene) -> None:
    url = make_url(scene.settings.database_url)
    if url.get_backend_name() == "sqlite":
        with sqlite3.connect(str(url.database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            executors = "SELECT DISTINCT executor_id FROM workflow_status WHERE workflow_uuid LIKE 'sync:%'"
            assert connection.execute(executors).fetchall() == [("embedded",)]  # or a restart would recover nothing


@on_postgresql
async def test_the_living_take_over_within_90_seconds(scene: Scene, viewer: str, tmp_path: Path) -> None:
    """With the heartbeat of production in `make test-slow`."""
    await scene.accounts(viewer, BATCH)
    always_something_under_way = Fault(path=USER_INFO_PATH, times=None, delay_seconds=0.5, passthrough=True)
    scene.sandbox.faults.add(always_something_under_way)
    with workers(2, tmp_path, scene.settings, heartbeat=None if LIVING is HEARTBEAT else LIVING) as running:
        job = await scene.start(viewer)
        await scene.wait_until_synced(job, BATCH // 10)
        await kill_at_work(scene, running.pop(0))
        since = time.monotonic()
        ended = await scene.wait_until_ended(job, seconds=WITHOUT_RESTART)
        print(f"taken over and ended after {time.monotonic() - since:.1f} s, dead after {LIVING.dead_after}")  # noqa: T201
        assert "work of a dead worker resumed" in running[0].log
        await check_round(scene, viewer, ended, 1, scene.since)


AT_WORK = """
    SELECT count(DISTINCT work.executor_id) FROM dbos.workflow_status AS work
    JOIN sync_results ON work.workflow_uuid LIKE 'sync:' || sync_results.id || ':%'
    WHERE work.status = 'PENDING' AND sync_results.outcome = 'PENDING'
"""


async def kill_at_work(scene: Scene, worker: Worker) -> None:
    """While both processes read something: of what is read already there is nothing to take over."""
    async with asyncio.timeout(WITHOUT_RESTART), scene.running.db.read() as session:
        os.kill(worker.pid, signal.SIGSTOP)
        while await session.scalar(text(AT_WORK)) != 2:
            os.kill(worker.pid, signal.SIGCONT)
            await asyncio.sleep(0.1)
            os.kill(worker.pid, signal.SIGSTOP)
    worker.kill()


async def test_sigterm_ends_a_process_in_time_and_its_work_goes_on_at_once(
    scene: Scene, viewer: str, tmp_path: Path
) -> None:
    await scene.accounts(viewer, BATCH)
    with workers(1, tmp_path, scene.settings) as running:
        job = await scene.start(viewer)
        await scene.wait_until_synced(job, BATCH // 10)
        [first] = running
        since = time.monotonic()
        assert await asyncio.to_thread(first.end) == 0
        assert time.monotonic() - since < 20
        assert "Traceback" not in first.log
        assert (await scene.job(job)).finished_at is None
        running[:] = [Worker.start(tmp_path, scene.settings)]
        ended = await scene.wait_until_ended(job, seconds=20)
    assert await check_round(scene, viewer, ended, 1, scene.since) == 0


async def test_a_server_ends_in_time_as_well(scene: Scene, viewer: str, tmp_path: Path) -> None:
    await scene.accounts(viewer, BATCH)
    async with run_server(tmp_path, scene.settings, viewer) as (server, _):
        job = await scene.start(viewer)
        await scene.wait_until_synced(job, BATCH // 10)
        assert await asyncio.to_thread(server.end, signal.SIGTERM, seconds=20) == 0
        assert "Traceback" not in server.err.read_text()
    assert (await scene.job(job)).finished_at is None
    with workers(1, tmp_path, scene.settings):
        ended = await scene.wait_until_ended(job, seconds=20)
    assert await check_round(scene, viewer, ended, 1, scene.since) == 0


async def test_work_that_runs_twice_at_once_is_done_once(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    job = await scene.start(viewer)
    await asyncio.gather(*(scene.run(job) for _ in range(3)))
    assert (await scene.job(job)).state is JobState.SUCCEEDED
    assert len(scene.calls([account])) == 1
    assert await scene.count_syncs(viewer) == await scene.count_snapshots(viewer) == {account.id: 1}


async def test_sigterm_does_not_wait_for_the_quota(scene: Scene, viewer: str, tmp_path: Path) -> None:
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": 20})
    await scene.accounts(viewer, BATCH)
    with workers(1, tmp_path, settings) as running:
        job = await scene.start(viewer)
        await scene.wait_until_synced(job, 2)
        await asyncio.sleep(1)
        since = time.monotonic()
        assert await asyncio.to_thread(running[0].end) == 0
        assert time.monotonic() - since < 8
        done = await scene.count_done(job)
        running[:] = [Worker.start(tmp_path, scene.settings)]
        ended = await scene.wait_until_ended(job, seconds=20)
    assert done < BATCH
    assert await check_round(scene, viewer, ended, 1, scene.since) == 0
