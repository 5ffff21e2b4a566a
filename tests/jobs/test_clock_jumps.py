"""A clock was ten minutes ahead and was corrected: what was stored meanwhile holds nobody up, and passes for nothing new.

On both databases the rows are written as that clock would have written them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import select, update
from sqlmodel import col

from tests.connecting import flows, stored
from tests.support.batches import Scene
from tests.support.slots import set_row
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import accounts as account_statements
from tiktok_accounts_gql.db import token_pairs, workers
from tiktok_accounts_gql.db.clock import FromNow
from tiktok_accounts_gql.db.models import (
    Account,
    JobState,
    PendingRevocation,
    RequestQuota,
    TokenPair,
    WebhookEvent,
    Worker,
)
from tiktok_accounts_gql.db.quota import Endpoint
from tiktok_accounts_gql.errors import AuthorizationStateExpired
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.health import LONGEST_RETRY
from tiktok_accounts_gql.services.rate_limiter import SEND_TOLERANCE
from tiktok_accounts_gql.services.revocations import GIVE_UP_AFTER
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import Running, open_services

AHEAD = [timedelta(minutes=10), timedelta(days=400)]
SOON_SECONDS = 3
by = pytest.mark.parametrize("by", AHEAD, ids=["10 minutes", "400 days"])


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


@pytest_asyncio.fixture
async def tiktok(scene: Scene) -> TikTok:
    return TikTok(sandbox=scene.sandbox, settings=scene.settings, running=scene.running)


@pytest_asyncio.fixture
async def ahead(scene: Scene) -> AsyncGenerator[Callable[[timedelta], Any]]:
    """Services of a process whose clock is ahead."""
    yield lambda by: open_services(scene.settings, clock=lambda: utc_now() + by)


async def sync(running: Running, account: Account) -> SyncedAccount:
    return await running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def change_pair(scene: Scene, account: Account, **values: Any) -> None:
    async with scene.running.db.transaction() as session:
        changed = update(TokenPair).where(col(TokenPair.account_id) == account.id).values(**values)
        await session.execute(changed, execution_options={"synchronize_session": False})


async def only(scene: Scene, viewer: str) -> Account:
    [row] = await stored.accounts(scene.running, viewer)
    return row


def is_now(time: datetime | None) -> bool:
    return time is not None and abs(utc_now() - time) < timedelta(seconds=20)


# Syncs


@by
async def test_what_was_synced_in_the_future_is_read_when_it_is_asked_for(
    scene: Scene, viewer: str, ahead: Callable[[timedelta], Any], by: timedelta
) -> None:
    [account] = await scene.accounts(viewer, 1)
    async with ahead(by) as wrong:
        assert (await sync(wrong, account)).error is None
    for times in range(1, 4):
        synced = await sync(scene.running, account)
        assert synced.error is None
        assert is_now(synced.synced_at)
        assert is_now((await only(scene, viewer)).last_synced_at)
        assert len(scene.calls([account])) >= 1 + times


@by
async def test_a_job_and_the_schedule_read_what_was_synced_in_the_future(
    scene: Scene, viewer: str, ahead: Callable[[timedelta], Any], by: timedelta
) -> None:
    [account] = await scene.accounts(viewer, 1)
    async with ahead(by) as wrong:
        await sync(wrong, account)
    job = await scene.start(viewer)
    await scene.run(job)
    assert (await scene.job(job)).state is JobState.SUCCEEDED
    assert is_now((await only(scene, viewer)).last_synced_at)
    read = len(scene.calls([account]))
    async with ahead(by) as wrong:
        await sync(wrong, account)
    await scene.running.schedule.sync_scheduled(viewer, str(account.id))
    assert is_now((await only(scene, viewer)).last_synced_at)
    assert len(scene.calls([account])) > read + 1


async def test_two_servers_whose_clocks_differ_by_a_second_still_share_a_reading(
    scene: Scene, viewer: str, ahead: Callable[[timedelta], Any]
) -> None:
    [account] = await scene.accounts(viewer, 1)
    job = await scene.start(viewer)
    async with ahead(timedelta(seconds=1)) as other:
        await sync(other, account)
    await scene.run(job)
    assert (await scene.job(job)).state is JobState.SUCCEEDED
    assert len(scene.calls([account])) == 1


# The quota and the circuit


@pytest.mark.parametrize("column", ["next_at", "closed_until"])
@by
async def test_a_quota_of_the_future_holds_nobody_up(
    scene: Scene, tiktok: TikTok, viewer: str, column: str, by: timedelta
) -> None:
    """Connecting reads the account, renewing renews, and disconnecting revokes."""
    for endpoint in Endpoint:
        await set_row(scene.running, endpoint, **{column: by.total_seconds()})
    async with asyncio.timeout(SOON_SECONDS):
        account = await tiktok.connect(viewer)
        assert is_now(account.last_synced_at)
        scene.sandbox.state.expire_access_token(account.open_id)
        assert (await sync(scene.running, account)).error is None
        job = await scene.start(viewer)
        await scene.run(job)
        assert (await scene.job(job)).state is JobState.SUCCEEDED
        await scene.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
        await until(lambda: tiktok.revoked(account.open_id), seconds=SOON_SECONDS)
    await scene.running.revocations.close()
    async with scene.running.db.read() as session:
        quotas = list(await session.scalars(select(RequestQuota)))
    assert {quota.name for quota in quotas} == set(Endpoint)
    assert all(is_now(quota.next_at) for quota in quotas)
    assert {(quota.failures, quota.closed_until) for quota in quotas} == {(0, None)}


async def test_the_pace_is_kept_from_then_on(scene: Scene, viewer: str) -> None:
    async with open_services(scene.settings.model_copy(update={"tiktok_requests_per_minute": 120})) as running:
        accounts = await scene.accounts(viewer, 4)
        await set_row(running, Endpoint.USER_INFO, next_at=600)
        await asyncio.gather(*[sync(running, account) for account in accounts])
        times = sorted(call.time for call in scene.calls(accounts))
    interval = running.reader.limiter.policy.interval.total_seconds()
    assert times[-1] - times[0] >= 3 * interval - SEND_TOLERANCE.total_seconds()


# Leases


@by
async def test_a_reading_that_was_left_in_the_future_is_over(scene: Scene, viewer: str, by: timedelta) -> None:
    [account] = await scene.accounts(viewer, 1)
    await change_pair(scene, account, reading_id=uuid4(), reading_until=FromNow(by.total_seconds()))
    async with asyncio.timeout(SOON_SECONDS):
        assert (await sync(scene.running, account)).error is None
    [pair] = await stored.sealed_pairs(scene.running, viewer)
    assert (pair.reading_id, pair.reading_until) == (None, None)


@by
async def test_a_renewal_that_was_left_in_the_future_is_over(scene: Scene, viewer: str, by: timedelta) -> None:
    [account] = await scene.accounts(viewer, 1)
    scene.sandbox.state.expire_access_token(account.open_id)
    until_then = FromNow(by.total_seconds())
    await change_pair(scene, account, expires_at=utc_now(), lease_id=uuid4(), lease_until=until_then)
    async with asyncio.timeout(SOON_SECONDS):
        assert (await sync(scene.running, account)).error is None
    [pair] = await stored.sealed_pairs(scene.running, viewer)
    assert (pair.lease_id, pair.lease_until) == (None, None)


async def test_a_lease_of_now_is_still_one(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    await change_pair(scene, account, reading_id=uuid4(), reading_until=FromNow(1.5))
    began = asyncio.get_running_loop().time()
    assert (await sync(scene.running, account)).error is None
    assert asyncio.get_running_loop().time() - began > 1


# Tokens


@by
async def test_tokens_that_were_issued_in_the_future_are_used_and_renewed(
    scene: Scene, viewer: str, by: timedelta
) -> None:
    [account] = await scene.accounts(viewer, 1)
    issued = utc_now() + by
    await change_pair(scene, account, issued_at=issued, expires_at=issued + timedelta(hours=2))
    assert (await sync(scene.running, account)).error is None
    scene.sandbox.state.expire_access_token(account.open_id)
    assert (await sync(scene.running, account)).error is None
    [pair] = await stored.sealed_pairs(scene.running, viewer)
    assert is_now(pair.issued_at)


async def test_an_authorization_that_was_issued_in_the_future_is_renewed_before_it_ends(
    own_scene: Scene, viewer: str
) -> None:
    [account] = await own_scene.accounts(viewer, 1)
    await change_pair(own_scene, account, issued_at=utc_now() + timedelta(days=400))
    async with own_scene.running.db.transaction() as session:
        ends = utc_now() + timedelta(days=3)
        await account_statements.change(session, viewer, account.id, reauthorize_by=ends)
    assert await own_scene.running.tokens.refresh_expiring() == 1
    [pair] = await stored.sealed_pairs(own_scene.running, viewer)
    assert is_now(pair.issued_at)


# Connecting, disconnecting, workers


@by
async def test_an_authorization_that_began_in_the_future_is_begun_again(
    scene: Scene, viewer: str, ahead: Callable[[timedelta], Any], by: timedelta
) -> None:
    """Or its state would work for longer than ten minutes."""
    async with ahead(by) as wrong:
        started = await wrong.services.authorizations.start(Viewer(id=viewer), return_to=None, account_id=None)
        link = await flows.confirm_in_process(wrong, started.authorization_url)
    assert await ended(scene, viewer, link) == "AUTHORIZATION_STATE_EXPIRED"
    with pytest.raises(AuthorizationStateExpired):
        await flows.confirm_in_process(scene.running, started.authorization_url)
    started = await scene.running.services.authorizations.start(Viewer(id=viewer), return_to=None, account_id=None)
    link = await flows.confirm_in_process(scene.running, started.authorization_url)
    assert await ended(scene, viewer, link) is None


async def ended(scene: Scene, viewer: str, url: str) -> str | None:
    """The code of what went wrong when the user came back."""
    answer = await flows.give_consent(url, f"user-of-{viewer}")
    callback = Callback(state=answer["state"], code=answer["code"])
    finished = await scene.running.services.authorizations.finish(callback, browser=flows.BROWSER)
    return finished.error.code.value if finished.error else None


@by
async def test_a_revocation_that_is_due_in_the_future_is_due_now(own_scene: Scene, viewer: str, by: timedelta) -> None:
    tiktok = TikTok(sandbox=own_scene.sandbox, settings=own_scene.settings, running=own_scene.running)
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE_PATH, account, status=503, times=2)
    await own_scene.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await own_scene.running.revocations.close()
    late = {"next_attempt_at": utc_now() + by, "given_up_at": utc_now() + by + GIVE_UP_AFTER}
    async with own_scene.running.db.transaction() as session:
        await session.execute(update(PendingRevocation).values(**late))
    assert await own_scene.running.revocations.process_due() == 1
    async with own_scene.running.db.read() as session:
        [owed] = await session.scalars(select(PendingRevocation))
    assert owed.given_up_at <= utc_now() + GIVE_UP_AFTER
    async with own_scene.running.db.transaction() as session:
        await session.execute(update(PendingRevocation).values(next_attempt_at=utc_now() + by))
    assert await own_scene.running.revocations.process_due() == 1
    assert tiktok.revoked(account.open_id)


@by
async def test_a_revocation_that_was_begun_in_the_future_keeps_nobody_from_connecting(
    scene: Scene, tiktok: TikTok, viewer: str, by: timedelta
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.fail(REVOKE_PATH, account, status=503)
    await scene.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await scene.running.revocations.close()
    async with scene.running.db.transaction() as session:
        begun = update(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
        begun = begun.values(lease_until=FromNow(by.total_seconds()))
        await session.execute(begun, execution_options={"synchronize_session": False})
    async with asyncio.timeout(SOON_SECONDS):
        assert (await tiktok.connect(viewer, account.open_id)).status == "ACTIVE"
    assert (await stored.counts(scene.running, viewer))["owed_revocations"] == 0


@by
async def test_a_webhook_that_is_due_in_the_future_is_due_now(
    scene: Scene, tiktok: TikTok, viewer: str, by: timedelta
) -> None:
    account = await tiktok.connect(viewer)
    tiktok.sandbox.state.revoke_grant(account.open_id)
    body = f'{{"event":"authorization.removed","user_openid":"{account.open_id}","content":"{{}}"}}'.encode()
    late = WebhookEvent(
        body_hash=sha256(body).digest(), body=body, received_at=utc_now(), attempts=1, next_attempt_at=utc_now() + by
    )
    async with scene.running.db.transaction() as session:
        session.add(late)
    await scene.running.services.webhooks.process_due()
    status = (await only(scene, viewer)).status
    assert (status == "INACTIVE") is (by > LONGEST_RETRY)  # ten minutes are a pause that may be meant


async def test_a_worker_that_was_seen_in_the_future_is_dead_after_a_while(own_scene: Scene) -> None:
    async with own_scene.running.db.transaction() as session:
        await workers.record_heartbeat(session, "dead")
    async with own_scene.running.db.transaction() as session:
        in_future = update(Worker).where(col(Worker.executor_id) == "dead").values(seen_at=FromNow(600))
        await session.execute(in_future, execution_options={"synchronize_session": False})
    async with own_scene.running.db.transaction() as session:
        await workers.record_heartbeat(session, "living")
    await asyncio.sleep(0.3)
    async with own_scene.running.db.transaction() as session:
        await workers.record_heartbeat(session, "living")
    async with own_scene.running.db.read() as session:
        assert await workers.list_dead(session, unseen_for=timedelta(seconds=0.2)) == ["dead"]


async def test_a_clock_that_was_behind_holds_nobody_up_either(
    scene: Scene, viewer: str, ahead: Callable[[timedelta], Any]
) -> None:
    [account] = await scene.accounts(viewer, 1)
    async with ahead(-timedelta(days=2)) as wrong:
        assert (await sync(wrong, account)).error is None
    assert (await sync(scene.running, account)).error is None
    async with scene.running.db.read() as session:
        assert await token_pairs.find(session, viewer, account.id) is not None
    assert len(scene.sandbox.state.list_calls(USER_INFO_PATH, open_id=account.open_id)) == 2
