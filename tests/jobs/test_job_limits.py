"""How much one viewer may have under way, and what is settled without any work."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert, select
from sqlmodel import col

from tests.support.batches import Scene
from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.statements import counted_statements
from tests.support.sync_jobs import global_id, start
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.errors import LimitReached, TooManyIds
from tiktok_accounts_gql.services.sync import jobs as rules
from tiktok_accounts_gql.services.sync.jobs import FailedAccounts, JobTarget, MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer

START = "mutation { startAccountAuthorization(input: {}) { authorizationUrl userErrors { code retryAfterSeconds } } }"


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


async def results(scene: Scene, job: SyncJob) -> list[SyncResult]:
    stored = select(SyncResult).where(col(SyncResult.job_id) == job.id).order_by(col(SyncResult.position))
    async with scene.running.db.read() as session:
        return list(await session.scalars(stored))


async def test_ids_that_are_nobodys_are_settled_at_once(scene: Scene, viewer: str) -> None:
    [mine], [theirs] = await scene.accounts(viewer, 1), await scene.accounts(f"other than {viewer}", 1)
    job = await scene.start(viewer, [uuid4(), mine.id, theirs.id])
    assert (job.total_count, job.failed_count, job.state) == (3, 2, JobState.QUEUED)
    outcomes = [(one.outcome, one.error_code, one.finished_at is None) for one in await results(scene, job)]
    failed = (SyncOutcome.FAILED, "NOT_FOUND", False)
    assert outcomes == [failed, (SyncOutcome.PENDING, None, True), failed]


async def test_a_job_of_nobodys_ids_has_ended_and_nobody_works_on_it(scene: Scene, viewer: str) -> None:
    with counted_statements() as statements:
        job = await scene.start(viewer, [uuid4() for _ in range(500)])
    assert (job.state, job.failed_count, job.finished_at is None) == (JobState.FAILED, 500, False)
    assert not any("workflow" in one for one in statements)
    assert {one.outcome for one in await results(scene, job)} == {SyncOutcome.FAILED}


@pytest.mark.parametrize("of", ["a filter", "failures"])
async def test_no_id_of_a_job_comes_through_this_process(scene: Scene, viewer: str, of: str) -> None:
    accounts = await scene.accounts(viewer, 30)
    target: JobTarget = MatchingAccounts(filter=AccountFilter())
    if of == "failures":
        earlier = await scene.start(viewer)
        async with scene.running.db.transaction() as session:
            failed = SyncResult.__table__.update().where(col(SyncResult.job_id) == earlier.id)  # type: ignore[attr-defined]
            await session.execute(failed.values(outcome=SyncOutcome.FAILED))
        target = FailedAccounts(job_id=earlier.id)
    with counted_statements() as statements:
        job = (await scene.running.services.jobs.start(Viewer(id=viewer), target, None)).job
    assert [one.account_id for one in await results(scene, job)] == sorted(
        (account.id for account in accounts), reverse=True
    )
    assert job.total_count == 30
    [added] = [one for one in statements if one.startswith("INSERT INTO sync_results")]
    assert "SELECT" in added


async def test_ten_jobs_at_most_have_not_ended_however_many_are_asked_for_at_once(scene: Scene, viewer: str) -> None:
    [one] = await scene.accounts(viewer, 1)
    asked = await asyncio.gather(*(scene.start(viewer, [one.id]) for _ in range(15)), return_exceptions=True)
    assert sum(isinstance(one, SyncJob) for one in asked) == rules.MAX_UNFINISHED
    assert sum(isinstance(one, LimitReached) for one in asked) == 5
    job = next(one for one in asked if isinstance(one, SyncJob))
    await scene.running.services.jobs.cancel(Viewer(id=viewer), job.id)
    await scene.start(viewer, [one.id])


async def test_ten_thousand_accounts_at_most_are_pending(
    scene: Scene, viewer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_ACCOUNTS", 10)
    await scene.accounts(viewer, 6)
    await scene.start(viewer)
    with pytest.raises(LimitReached, match="4 more are allowed"):
        await scene.start(viewer)
    await scene.accounts(viewer, 5)
    with pytest.raises(TooManyIds):
        await scene.start(viewer)
    assert rules.MAX_ACCOUNTS == 10


@pytest.mark.proof
async def test_a_job_of_ten_thousand_accounts_is_begun_at_once(scene: Scene, viewer: str) -> None:
    for start_at in range(0, rules.MAX_ACCOUNTS, 1000):
        await store(scene.running.db, *(account(viewer, start_at + number) for number in range(1000)))
    async with asyncio.timeout(5):
        job = await scene.start(viewer)
    assert job.total_count == rules.MAX_ACCOUNTS
    with pytest.raises(LimitReached):
        await scene.start(viewer)


async def test_the_limit_is_told_by_its_code(api: Api, scene: Scene) -> None:
    [one] = await scene.accounts(api.viewer, 1)
    jobs = [
        SyncJob(viewer_id=api.viewer, total_count=1, created_at=utc_now() - timedelta(hours=1)).model_dump()
        for _ in range(rules.MAX_UNFINISHED)
    ]
    async with scene.running.db.transaction() as session:
        await session.execute(insert(SyncJob), jobs)
    payload = await start(api, {"ids": [global_id(one.id)]})
    assert (payload["job"], [error["code"] for error in payload["userErrors"]]) == (None, ["LIMIT_REACHED"])


async def test_thirty_authorizations_a_minute_are_started_and_not_one_more(api: Api) -> None:
    answers = await asyncio.gather(*(api.data(START) for _ in range(33)))
    payloads = [answer["startAccountAuthorization"] for answer in answers]
    assert sum(payload["authorizationUrl"] is not None for payload in payloads) == 30
    [error, *_] = [error for payload in payloads for error in payload["userErrors"]]
    assert error["code"] == "LIMIT_REACHED"
    assert 0 < error["retryAfterSeconds"] <= 60
