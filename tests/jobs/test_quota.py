"""TikTok's own record of what it was asked: never over the quota, by all processes together, retries and users included.

`make test-slow` watches every sliding minute at 540 requests a minute for three minutes.
"""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from tests.support.batches import Scene
from tests.support.working import workers
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.rate_limiter import build_rate_limit
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

pytestmark = pytest.mark.proof

SECONDS = float(os.environ.get("TEST_QUOTA_SECONDS", "12"))
PER_MINUTE = 540 if SECONDS > 60 else 120
MINUTE = 60.0
LATE = 0.3  # what the way to TikTok may delay a request


async def test_no_window_of_time_sees_more_than_the_quota(
    scene: Scene, viewer: str, backend: str, tmp_path: Path
) -> None:
    settings = scene.settings.model_copy(update={"tiktok_requests_per_minute": PER_MINUTE})
    accounts = await scene.accounts(viewer, int(PER_MINUTE * SECONDS / MINUTE) + 100)
    [mine] = await scene.accounts(f"other-{viewer}", 1)
    fault = Fault(path=USER_INFO_PATH, times=None, share=0.2, status=429, error="rate_limit_exceeded")
    scene.sandbox.faults.add(fault)
    job = await scene.start(viewer)
    async with open_services(settings) as users:
        with workers(1 if backend == "sqlite" else 2, tmp_path, settings):
            began = time.time()
            while time.time() - began < SECONDS:
                await asyncio.gather(sync(users, mine), asyncio.sleep(random.uniform(0.5, 2)))
        assert await scene.count_done(job) < len(accounts)
    times = [call.time for call in scene.calls()]
    pace = build_rate_limit(PER_MINUTE, failures=5)
    interval = pace.interval.total_seconds()
    for window in (0.5, 1, 2, 5, 10, 30):
        assert most_within(times, window) <= (window + LATE) / interval + pace.burst + 1
    assert most_within(times, MINUTE) <= PER_MINUTE
    assert len(times) >= 0.8 * SECONDS / interval
    print(f"{len(times)} requests in {SECONDS:.0f} s, at most {most_within(times, MINUTE)} in a minute")  # noqa: T201


async def sync(users: Running, account: Account) -> None:
    """As a user does who waits for it; by services that share nothing but the database with the workers."""
    await users.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


def most_within(times: list[float], window: float) -> int:
    """In any sliding window."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, last - first + 1)
    return most
