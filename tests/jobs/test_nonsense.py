"""One account's reply is that account's affair: what cannot be read fails it alone, and only silence stops the asking."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.support.batches import Scene
from tests.support.unreadable import READABLE_COUNT, UNREADABLE_BODIES, add_accounts, answer
from tests.support.waiting import until
from tests.support.working import workers
from tiktok_accounts_gql.db.models import Account, JobState, RequestQuota, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.sync.retries import MAX_ATTEMPTS
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

ODDER: dict[str, tuple[int, bytes]] = {
    "a number": (200, b"7"),
    "null": (200, b"null"),
    "404 in HTML": (404, b"<html>"),
    "403 and nothing": (403, b""),
    "204 and nothing": (204, b""),
    "an empty object": (200, b"{}"),
    "a user of a list": (200, b'{"data": {"user": []}, "error": {"code": "ok"}}'),
    "bytes of no encoding": (200, b"\xff\xfe\x00"),
}


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


def silence(scene: Scene, account: Account, *, status: int = 503) -> None:
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, status=status, times=None))


async def sync(scene: Scene, *accounts: Account) -> list[str | None]:
    """By their owners, one after the other; the codes of what went wrong."""
    syncing = scene.running.services.syncing
    synced = [await syncing.sync(Viewer(id=account.viewer_id), account.id) for account in accounts]
    return [one.error.code.value if one.error else None for one in synced]


async def stored(scene: Scene, *accounts: Account) -> list[Account]:
    async with scene.running.db.read() as session:
        rows = await session.scalars(select(Account).where(col(Account.id).in_([one.id for one in accounts])))
        by_id = {row.id: row for row in rows}
    return [by_id[account.id] for account in accounts]


async def circuits(scene: Scene) -> set[tuple[int, bool]]:
    """Of all endpoints: failures in a row, and whether nobody asks."""
    async with scene.running.db.read() as session:
        return {(row.failures, row.closed_until is not None) for row in await session.scalars(select(RequestQuota))}


async def results(scene: Scene, job: SyncJob) -> dict[Any, SyncResult]:
    async with scene.running.db.read() as session:
        rows = await session.scalars(select(SyncResult).where(col(SyncResult.job_id) == job.id))
        return {row.account_id: row for row in rows}


async def ended_well(scene: Scene, job: SyncJob, bad: Sequence[Account], good: Sequence[Account]) -> None:
    now = await scene.job(job)
    assert (now.state, now.succeeded_count, now.failed_count) == (
        JobState.PARTIALLY_FAILED,
        READABLE_COUNT,
        len(UNREADABLE_BODIES),
    )
    by_account = await results(scene, job)
    for account in await stored(scene, *bad):
        result = by_account[account.id]
        assert (result.outcome, result.attempts, result.error_code) == (SyncOutcome.FAILED, MAX_ATTEMPTS, "SYNC_FAILED")
        assert (account.status, account.health_state, account.health_action) == ("ACTIVE", "DEGRADED", "WAIT")
        assert (account.last_synced_at, account.consecutive_failures) == (None, MAX_ATTEMPTS)
    for account in await stored(scene, *good):
        assert by_account[account.id].outcome is SyncOutcome.SUCCEEDED
        assert (account.health_state, account.last_error) == ("HEALTHY", None)
        assert account.last_synced_at is not None
    assert {failures for failures, _ in await circuits(scene)} == {0}


async def neighbour(scene: Scene, account: Account, ended: asyncio.Event) -> list[str | None]:
    """Another viewer's single syncs meanwhile."""
    codes = []
    while not ended.is_set():
        codes += await sync(scene, account)
        await asyncio.sleep(0.05)
    return codes


async def attempt(scene: Scene, job: SyncJob) -> None:
    """All that is pending, at the same time."""
    pending = [result for result in (await results(scene, job)).values() if result.outcome is SyncOutcome.PENDING]
    perform = scene.running.job_runner.sync_result
    await asyncio.gather(*[perform(job.viewer_id, str(result.id)) for result in pending])


async def test_a_batch_of_which_seven_answer_nonsense_ends_and_nobody_else_notices(scene: Scene, viewer: str) -> None:
    bad, good = await add_accounts(scene, viewer)
    [other] = await scene.accounts(f"other-{viewer}", 1)
    job, ended = await scene.start(viewer), asyncio.Event()
    meanwhile = asyncio.create_task(neighbour(scene, other, ended))
    for _ in range(MAX_ATTEMPTS):
        assert (await scene.job(job)).finished_at is None
        await attempt(scene, job)
    ended.set()
    codes = await meanwhile
    assert set(codes) == {None}
    assert len(scene.calls([other])) == len(codes) > MAX_ATTEMPTS
    await ended_well(scene, job, bad, good)
    assert len(scene.calls(bad)) == MAX_ATTEMPTS * len(bad)
    assert len(scene.calls(good)) == READABLE_COUNT


@pytest.mark.proof
async def test_with_a_worker_it_ends_within_two_minutes(own_scene: Scene, viewer: str, tmp_path: Path) -> None:
    bad, good = await add_accounts(own_scene, viewer)
    [other] = await own_scene.accounts(f"other-{viewer}", 1)
    ended = asyncio.Event()
    with workers(1, tmp_path, own_scene.settings):
        meanwhile = asyncio.create_task(neighbour(own_scene, other, ended))
        job = await own_scene.wait_until_ended(
            await own_scene.start(viewer), seconds=float(os.environ.get("TEST_NONSENSE_SECONDS", "120"))
        )
        ended.set()
        assert set(await meanwhile) == {None}
    await ended_well(own_scene, job, bad, good)


@pytest.mark.parametrize(("status", "body"), ODDER.values(), ids=ODDER)
async def test_no_number_of_replies_that_cannot_be_read_stops_the_asking(
    scene: Scene, viewer: str, status: int, body: bytes
) -> None:
    *bad, good = await scene.accounts(viewer, 7)
    for account in bad:
        answer(scene, account, body, status=status)
    assert await sync(scene, *bad) == ["SYNC_FAILED"] * len(bad)
    assert await sync(scene, good) == [None]
    assert await circuits(scene) == {(0, False)}
    assert {(one.health_reason, one.consecutive_failures) for one in await stored(scene, *bad)} == {
        ("TIKTOK_UNAVAILABLE", 1)
    }


@pytest.mark.parametrize("status", [500, 503])
async def test_silence_about_one_account_says_nothing_of_tiktok(scene: Scene, viewer: str, status: int) -> None:
    [silent] = await scene.accounts(viewer, 1)
    [other] = await scene.accounts(f"other-{viewer}", 1)
    silence(scene, silent, status=status)
    assert await sync(scene, *[silent] * 8) == ["TIKTOK_UNAVAILABLE"] * 8
    job = await scene.start(viewer)
    for _ in range(MAX_ATTEMPTS):
        await scene.run(job)
    assert (await scene.job(job)).state is JobState.FAILED
    assert await circuits(scene) == {(1, False)}
    assert await sync(scene, other) == [None]
    assert await circuits(scene) == {(0, False)}


async def test_an_answer_about_anybody_begins_the_count_anew(scene: Scene, viewer: str) -> None:
    accounts = await scene.accounts(viewer, 9)
    for account in accounts[:8]:
        silence(scene, account)
    codes = await sync(scene, *accounts[:4], accounts[8], *accounts[4:8])
    assert codes == ["TIKTOK_UNAVAILABLE"] * 4 + [None] + ["TIKTOK_UNAVAILABLE"] * 4
    assert await circuits(scene) == {(4, False)}


async def test_an_answer_that_was_asked_for_before_the_silence_counts_as_well(scene: Scene, viewer: str) -> None:
    slow, *silent = await scene.accounts(viewer, 5)
    delayed = Fault(path=USER_INFO_PATH, open_id=slow.open_id, delay_seconds=0.7, passthrough=True)
    scene.sandbox.faults.add(delayed)
    for account in silent:
        silence(scene, account)
    asked = asyncio.create_task(sync(scene, slow))
    await until(lambda: not any(one.fault == delayed for one in scene.sandbox.faults.list_active()))
    await sync(scene, *silent)
    assert await circuits(scene) == {(4, False)}
    assert await asked == [None]
    assert await circuits(scene) == {(0, False)}


async def test_accounts_that_fail_already_do_not_stop_the_asking_again(scene: Scene, viewer: str) -> None:
    """As many as it takes, for good: they stop it once at most, and their job comes to its end."""
    *silent, other = await scene.accounts(viewer, 6)
    for account in silent[:4]:
        silence(scene, account)
    await sync(scene, *silent[:4])
    assert await sync(scene, other) == [None]
    silence(scene, silent[4])
    for _ in range(3):
        assert await sync(scene, *silent) == ["TIKTOK_UNAVAILABLE"] * 5
    assert await circuits(scene) == {(1, False)}
    assert await sync(scene, other) == [None]
