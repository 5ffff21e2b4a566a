"""TikTok that is down, or fails now and then. `make test-slow` takes minutes, with the pace of production."""

import asyncio
import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.support.batches import Scene
from tests.support.working import Worker, workers
from tiktok_accounts_gql.db import sync_jobs
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome
from tiktok_accounts_gql.errors import UserErrorCode
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.rate_limiter import PROBE_INTERVAL
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

pytestmark = pytest.mark.proof

DOWN_SECONDS = float(os.environ.get("TEST_DOWN_SECONDS", "6"))
BATCH = int(os.environ.get("TEST_FAULT_BATCH", "30"))
SLOW = DOWN_SECONDS > 60
FAILURES = Settings.model_fields["tiktok_failures_before_pause"].default
PROBES = PROBE_INTERVAL if SLOW else timedelta(seconds=1)
FAULTS = (
    Fault(status=429, error="rate_limit_exceeded", path=USER_INFO_PATH),
    Fault(status=500, error="internal_error", path=USER_INFO_PATH),
    Fault(status=200, body=b"<html>", content_type="text/html", path=USER_INFO_PATH),
    Fault(status=200, body=b'{"data":{"user":{"open_id":"', path=USER_INFO_PATH),
    Fault(drop=True, path=USER_INFO_PATH),
    Fault(delay_seconds=2.5, passthrough=True, path=USER_INFO_PATH),
)


async def test_an_outage_is_waited_for(scene: Scene, viewer: str, tmp_path: Path, backend: str) -> None:
    count = 60
    accounts = await scene.accounts(viewer, count)
    [alone] = await scene.accounts(f"alone-{viewer}", 1)
    processes = 1 if backend == "sqlite" else 2
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": 540})
    with workers(processes, tmp_path, settings, probe_interval=PROBES) as running:
        job = await scene.start(viewer)
        await scene.wait_until_synced(job, 5)
        scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
        down = time.time()
        other = await scene.start(alone.viewer_id)
        await asyncio.sleep(DOWN_SECONDS)
        scene.sandbox.faults.clear()
        back = time.time()
        assert (await scene.job(job)).finished_at is None
        assert SyncOutcome.FAILED not in await scene.count_outcomes(job)
        assert (await scene.running.services.job_lists.read(Viewer(id=viewer), [job.id]))[job.id].started_at
        asked = [call.time for call in scene.calls(since=down) if call.status == 503]
        await scene.wait_until_synced(job, await scene.count_done(job) + 1, seconds=30)
        first = time.time() - back
        ended = [await scene.wait_until_ended(one, seconds=60) for one in (job, other)]
        assert [one.state for one in ended] == [JobState.SUCCEEDED] * 2
        assert all("Traceback" not in worker.log for worker in running)
    in_flight = processes * settings.worker_concurrency
    probes = asked[FAILURES + in_flight :]
    gaps = [later - earlier for earlier, later in pairwise(probes)]
    assert all(gap >= PROBES.total_seconds() - 0.1 for gap in gaps), gaps
    assert len(asked) <= FAILURES + in_flight + DOWN_SECONDS / PROBES.total_seconds() + 1
    assert len(scene.calls(accounts)) <= count + len(asked)
    print(f"{len(asked)} calls in {DOWN_SECONDS:.0f} s down; went on {first:.1f} s after it")  # noqa: T201


async def test_who_joins_the_reading_of_a_job_gets_an_answer_of_their_own(scene: Scene, viewer: str) -> None:
    """The one that finds TikTok down: the job waits, the user is told."""
    accounts = await scene.accounts(viewer, FAILURES)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
    sync, owner = scene.running.services.syncing.sync, Viewer(id=viewer)
    for account in accounts[1:]:
        await sync(owner, account.id)
    job = await scene.start(viewer, [accounts[0].id])
    performing = asyncio.create_task(scene.run(job))
    synced = await sync(owner, accounts[0].id)
    await waits(scene, job)
    performing.cancel()
    assert synced.error is not None
    assert synced.error.code is UserErrorCode.TIKTOK_UNAVAILABLE
    assert await scene.count_outcomes(job) == {SyncOutcome.PENDING: 1}
    assert len(scene.calls()) == FAILURES


async def test_what_waits_for_tiktok_is_canceled_at_once(scene: Scene, viewer: str) -> None:
    """And asks for nothing when its wait is over, which a stop ends."""
    accounts = await scene.accounts(viewer, FAILURES)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, status=503, error="internal_error", times=None))
    for account in accounts:
        await scene.running.services.syncing.sync(Viewer(id=viewer), account.id)
    job = await scene.start(viewer, [accounts[0].id])
    performing = asyncio.create_task(scene.run(job))
    await waits(scene, job)
    await scene.running.services.jobs.cancel(Viewer(id=viewer), job.id)
    assert (await scene.job(job)).state is JobState.CANCELED
    scene.running.reader.stop()
    async with asyncio.timeout(5):
        await performing
    assert await scene.count_outcomes(job) == {SyncOutcome.CANCELED: 1}
    assert len(scene.calls()) == FAILURES


async def waits(scene: Scene, job: SyncJob) -> None:
    """Until the job's only account was begun, and waits for TikTok."""
    async with asyncio.timeout(10):
        while True:
            async with scene.running.db.read() as session:
                [pending] = await sync_jobs.list_pending(session, job.viewer_id, job.id)
                [result] = await sync_jobs.list_results_by_ids(session, job.viewer_id, [pending.id])
            if (await scene.job(job)).started_at is not None and not result.is_running:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("percent", [10, 30, 50])
async def test_a_batch_ends_whatever_fails_now_and_then(
    scene: Scene, viewer: str, tmp_path: Path, percent: int
) -> None:
    await scene.accounts(viewer, BATCH)
    for seed, fault in enumerate(FAULTS):
        mixed = replace(fault, times=None, seed=seed, share=percent / 100 / len(FAULTS))
        scene.sandbox.faults.add(mixed)
    with workers(1, tmp_path, scene.settings, probe_interval=PROBES) as [worker]:
        before = rss(worker)
        job = await scene.wait_until_ended(await scene.start(viewer), seconds=900)
        grown = rss(worker) - before
        unexpected = [
            line for line in worker.log.splitlines() if re.search(r'"level":"(error|critical)"|Traceback', line)
        ]
    outcomes = await scene.count_outcomes(job)
    assert unexpected == []
    assert sum(outcomes.values()) == BATCH
    assert outcomes.keys() <= {SyncOutcome.SUCCEEDED, SyncOutcome.FAILED}
    assert outcomes[SyncOutcome.SUCCEEDED] >= 0.8 * BATCH
    assert grown < 50
    print(f"{percent} % of faults: {outcomes}, memory grew by {grown:.1f} MB")  # noqa: T201


def rss(worker: Worker) -> float:
    """Megabytes."""
    return float(psutil.Process(worker.pid).memory_info().rss) / 1e6
