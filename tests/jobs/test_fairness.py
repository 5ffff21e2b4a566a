"""Nobody stands in the line of somebody else's batch. `make test-slow` lets a batch have 5,000 accounts."""

import os
import time
from pathlib import Path

import pytest

from tests.support.batches import Scene
from tests.support.working import workers
from tiktok_accounts_gql.db.models import JobState
from tiktok_accounts_gql.services.viewer import Viewer

pytestmark = pytest.mark.proof

BATCH = int(os.environ.get("TEST_FAIR_BATCH", "300"))
SHARE = 30


async def test_a_batch_delays_neither_a_sync_nor_a_small_job_of_others(
    scene: Scene, viewer: str, tmp_path: Path
) -> None:
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": 540})
    await scene.accounts(viewer, BATCH)
    second, third = f"second-{viewer}", f"third-{viewer}"
    await scene.accounts(second, 5)
    [single] = await scene.accounts(third, 1)
    large = await scene.start(viewer)
    with workers(1, tmp_path, settings):
        await scene.wait_until_synced(large, 40, seconds=60)  # past the burst: from here on the quota decides
        waited = []
        for _ in range(3):
            began = time.monotonic()
            synced = await scene.running.services.syncing.sync(Viewer(id=third), single.id)
            assert synced.error is None
            waited.append(time.monotonic() - began)
        assert max(waited) <= 2, waited
        began = time.monotonic()
        small = await scene.wait_until_ended(await scene.start(second), seconds=20)
        took = time.monotonic() - began
        assert small.state is JobState.SUCCEEDED
        assert await scene.count_done(large) < BATCH
    print(f"behind {BATCH}: a sync waits {max(waited):.2f} s at most, a job of 5 takes {took:.1f} s")  # noqa: T201


async def test_ten_batches_of_a_viewer_get_no_more_than_one_of_another(
    scene: Scene, viewer: str, tmp_path: Path
) -> None:
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": 540})
    mine, second = await scene.accounts(viewer, 10 * SHARE), f"second-{viewer}"
    await scene.accounts(second, SHARE)
    ids = [account.id for account in mine]
    batches = [await scene.start(viewer, ids[start : start + SHARE]) for start in range(0, len(ids), SHARE)]
    other = await scene.start(second)
    with workers(1, tmp_path, settings):
        await scene.wait_until_ended(other, seconds=60)
        done = sum([await scene.count_done(batch) for batch in batches])
    assert done < 2 * SHARE  # without turns it would be some ten times as many; work goes on while this is counted
    print(f"when a batch of {SHARE} had ended, {done} of {len(mine)} in ten batches of another viewer had")  # noqa: T201
