"""Mutation.cancelSyncJob, and jobs whose accounts go away or are read by others meanwhile"""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.batches import Scene
from tests.support.server import Api
from tests.support.sync_jobs import connect_accounts, count_rows, global_id, start, wait_until_finished
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tests.support.working import FAST, workers
from tiktok_accounts_gql.db.models import AuditEvent, JobState, SyncOutcome
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running

pytestmark = pytest.mark.untraced

CANCEL = """
mutation Cancel($id: ID!) {
  cancelSyncJob(input: { id: $id }) {
    job { id state totalCount succeededCount failedCount canceledCount pendingCount progress finishedAt estimatedFinishAt }
    userErrors { code message field }
  }
}
"""
SLOW: dict[str, Any] = {"delay_seconds": 1.0, "passthrough": True}


async def cancel(api: Api, job_id: str) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(CANCEL, id=job_id))["cancelSyncJob"]
    return payload


async def test_what_has_not_begun_is_stopped_and_what_is_running_is_finished(
    api: Api, tiktok: TikTok, running: Running
) -> None:
    accounts = await connect_accounts(tiktok, api.viewer, 12)
    for account in accounts:
        tiktok.fail(USER_INFO_PATH, account, **SLOW)
    job = (await start(api, {"filter": {}}))["job"]
    about = {account.open_id for account in accounts}

    def unread() -> int:
        return sum(waiting.fault.open_id in about for waiting in tiktok.sandbox.faults.list_active())

    await until(lambda: unread() <= 4)  # eight are being read
    payload = await cancel(api, job["id"])
    assert payload["userErrors"] == []
    assert (payload["job"]["state"], payload["job"]["finishedAt"]) == ("CANCELING", None)
    counts = ("succeededCount", "failedCount", "canceledCount", "pendingCount")
    assert sum(payload["job"][count] for count in counts) == 12
    assert payload["job"]["canceledCount"] >= 4
    again = await cancel(api, job["id"])
    assert (again["job"]["id"], again["userErrors"]) == (job["id"], [])
    ended = await wait_until_finished(api, job, first=50)
    outcomes = [edge["node"]["outcome"] for edge in ended["results"]["edges"]]
    succeeded, canceled = outcomes.count("SUCCEEDED"), outcomes.count("CANCELED")
    assert (ended["state"], ended["succeededCount"], ended["canceledCount"]) == ("CANCELED", succeeded, canceled)
    assert (ended["pendingCount"], ended["progress"]) == (0, succeeded / 12)
    assert succeeded + canceled == 12
    assert 1 <= succeeded <= 8
    assert sum(tiktok.user_infos(account.open_id) - 1 for account in accounts) == succeeded
    assert await count_rows(running, AuditEvent, api.viewer, action="SYNC_JOB_CANCELED") == 1
    assert await count_rows(running, AuditEvent, api.viewer, action="SYNC_JOB_FINISHED") == 1
    assert (await cancel(api, job["id"]))["userErrors"] == []


async def test_a_job_that_has_ended_and_a_job_of_others_cannot_be_canceled(
    api: Api, stranger: Api, tiktok: TikTok
) -> None:
    await connect_accounts(tiktok, api.viewer, 1)
    job = (await start(api, {"filter": {}}))["job"]
    for unknown in (job["id"], ids.encode(ids.NodeKind.SYNC_JOB, uuid4())):
        assert [error["code"] for error in (await cancel(stranger, unknown))["userErrors"]] == ["NOT_FOUND"]
    await wait_until_finished(api, job)
    payload = await cancel(api, job["id"])
    assert (payload["job"], payload["userErrors"][0]["code"]) == (None, "JOB_FINISHED")


async def test_those_that_failed_can_be_tried_again(api: Api, tiktok: TikTok) -> None:
    good, broken = await connect_accounts(tiktok, api.viewer, 2)
    tiktok.fail(USER_INFO_PATH, broken, status=400, error="invalid_params")
    first = await wait_until_finished(api, (await start(api, {"filter": {}}))["job"])
    assert first["state"] == "PARTIALLY_FAILED"
    again = await wait_until_finished(api, (await start(api, {"failedInJob": first["id"]}))["job"])
    assert (again["state"], again["totalCount"]) == ("SUCCEEDED", 1)
    assert again["results"]["edges"][0]["node"]["accountId"] == global_id(broken.id)
    assert tiktok.user_infos(good.open_id) == 2


async def test_an_account_that_is_disconnected_during_the_job_is_canceled(
    scene: Scene, viewer: str, tmp_path: Path
) -> None:
    gone, kept = await scene.accounts(viewer, 2)
    job = await scene.start(viewer)
    await scene.running.services.accounts.disconnect(Viewer(id=viewer), gone.id, None)
    with workers(1, tmp_path, scene.settings):
        ended = await scene.wait_until_ended(job, seconds=20)
    assert ended.state is JobState.SUCCEEDED
    assert (ended.succeeded_count, ended.canceled_count, ended.failed_count) == (1, 1, 0)
    assert await scene.count_outcomes(job) == {SyncOutcome.SUCCEEDED: 1, SyncOutcome.CANCELED: 1}
    assert scene.calls([gone]) == []
    assert len(scene.calls([kept])) == 1


async def test_an_account_that_several_ask_for_at_once_is_read_once(
    scene: Scene, viewer: str, backend: str, tmp_path: Path
) -> None:
    """Two jobs and a user, in two processes at least."""
    [account] = await scene.accounts(viewer, 1)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, **SLOW))
    with workers(1 if backend == "sqlite" else 2, tmp_path, scene.settings):
        jobs = [await scene.start(viewer), await scene.start(viewer)]
        for job in jobs:
            await scene.wait_until_started(job)
        synced = await scene.running.services.syncing.sync(Viewer(id=viewer), account.id)
        ended = [await scene.wait_until_ended(job, seconds=20) for job in jobs]
    assert synced.error is None
    assert [job.state for job in ended] == [JobState.SUCCEEDED] * 2
    assert len(scene.calls([account])) == 1
    assert (await scene.count_syncs(viewer)).total() == 3  # each of those who asked has an event
    assert (await scene.count_snapshots(viewer)).total() == 1


@pytest.mark.proof
async def test_a_kill_while_a_job_is_being_canceled_ends_it(scene: Scene, viewer: str, tmp_path: Path) -> None:
    accounts = await scene.accounts(viewer, 12)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, times=None, **SLOW))
    job = await scene.start(viewer)
    with workers(1, tmp_path, scene.settings, heartbeat=FAST) as running:
        await scene.wait_until_started(job)
        await asyncio.sleep(0.3)
        canceling = (await scene.running.services.jobs.cancel(Viewer(id=viewer), job.id)).job
        assert canceling.state is JobState.CANCELING
        running.pop().kill()
        scene.sandbox.faults.clear()
        with workers(1, tmp_path, scene.settings, heartbeat=FAST):
            ended = await scene.wait_until_ended(job, seconds=30)
    assert ended.state is JobState.CANCELED
    assert ended.canceled_count + ended.succeeded_count == len(accounts)
