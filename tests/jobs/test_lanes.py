"""Every call to TikTok takes one slot, in the lane of whoever waits for it; and waiting for one says nothing of an account."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, update
from sqlmodel import col

from tests.connecting import stored
from tests.support.batches import Scene
from tests.support.slots import NEAR, set_row, users_booked_ahead, watched_slots
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.models import (
    Account,
    AccountStatus,
    HealthAction,
    HealthReason,
    HealthState,
    JobState,
    PendingRevocation,
    SyncResult,
    TokenPair,
)
from tiktok_accounts_gql.db.quota import Endpoint
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services import rate_limiter
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.wiring import open_services

BOOKED_SECONDS = 1.2
FULL_SECONDS = 13.0  # further ahead than a user waits for
INFO, TOKEN, REVOKE = (endpoint.value for endpoint in Endpoint)


@pytest_asyncio.fixture
async def slow(shared_scene: Scene) -> AsyncGenerator[Scene]:
    """A slot every 0.11 s, which a machine that stands still for a moment does not miss: that would be one more."""
    settings = shared_scene.settings.model_copy(update={"tiktok_requests_per_minute": 600})
    async with open_services(settings) as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rate_limiter, "SEND_TOLERANCE", timedelta(seconds=10))
            yield Scene(settings=settings, running=running, sandbox=shared_scene.sandbox)


@pytest.fixture
def tiktok(slow: Scene) -> TikTok:
    return TikTok(sandbox=slow.sandbox, settings=slow.settings, running=slow.running)


async def sync(scene: Scene, account: Account) -> SyncedAccount:
    return await scene.running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def wear(scene: Scene, account: Account) -> None:
    """Time for a renewal."""
    scene.sandbox.state.expire_access_token(account.open_id)
    async with scene.running.db.transaction() as session:
        worn = update(TokenPair).where(col(TokenPair.account_id) == account.id).values(expires_at=utc_now())
        await session.execute(worn)


async def only(scene: Scene, account: Account) -> Account:
    [row] = await stored.accounts(scene.running, account.viewer_id)
    return row


def calls(scene: Scene, account: Account) -> dict[str, int]:
    counted = {
        name: len(scene.sandbox.state.list_calls(path, open_id=account.open_id))
        for name, path in ((INFO, USER_INFO_PATH), (TOKEN, TOKEN_PATH), (REVOKE, REVOKE_PATH))
    }
    return {name: count for name, count in counted.items() if count}


# One slot for a call


async def worn(scene: Scene, account: Account) -> None:
    await wear(scene, account)
    scene.sandbox.faults.add(Fault(path=TOKEN_PATH, open_id=account.open_id, delay_seconds=0.8, passthrough=True))


async def withdrawn_early(scene: Scene, account: Account) -> None:
    """TikTok refuses a token that we take for good."""
    scene.sandbox.state.expire_access_token(account.open_id)


async def without_a_reply(scene: Scene, account: Account) -> None:
    await wear(scene, account)
    scene.sandbox.faults.add(Fault(path=TOKEN_PATH, open_id=account.open_id, status=503))


async def as_it_is(scene: Scene, account: Account) -> None:
    del scene, account


BEFORE = [
    (as_it_is, {INFO: 1}),
    (worn, {TOKEN: 1, INFO: 1}),
    (withdrawn_early, {TOKEN: 1, INFO: 2}),
    (without_a_reply, {TOKEN: 1}),
]


@pytest.mark.parametrize(("before", "expected"), BEFORE, ids=lambda value: getattr(value, "__name__", None))
async def test_work_in_the_background_takes_a_slot_for_each_call_in_its_own_lane(
    slow: Scene, viewer: str, before: Any, expected: dict[str, int]
) -> None:
    [account] = await slow.accounts(viewer, 1)
    await before(slow, account)
    async with users_booked_ahead(slow.running, BOOKED_SECONDS) as taken:
        await slow.run(await slow.start(viewer))
    assert taken.counts == calls(slow, account) == expected
    assert taken.longest_wait <= NEAR


@pytest.mark.parametrize(("before", "expected"), BEFORE, ids=lambda value: getattr(value, "__name__", None))
async def test_what_a_user_waits_for_takes_a_slot_for_each_call_in_the_users_lane(
    slow: Scene, viewer: str, before: Any, expected: dict[str, int]
) -> None:
    [account] = await slow.accounts(viewer, 1)
    await before(slow, account)
    async with users_booked_ahead(slow.running, BOOKED_SECONDS) as taken:
        await sync(slow, account)
    assert taken.counts == calls(slow, account) == expected
    assert taken[0].wait > NEAR


async def test_the_schedule_renews_in_the_lane_of_the_background(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    await worn(slow, account)
    async with users_booked_ahead(slow.running, BOOKED_SECONDS) as taken:
        await slow.running.schedule.sync_scheduled(viewer, str(account.id))
    assert taken.counts == calls(slow, account) == {TOKEN: 1, INFO: 1}
    assert taken.longest_wait <= NEAR
    assert (await only(slow, account)).last_synced_at is not None


async def test_many_callers_who_need_a_renewal_take_one_slot_for_it(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    await worn(slow, account)
    with watched_slots() as taken:
        await asyncio.gather(*[sync(slow, account) for _ in range(8)])
    assert taken.counts == calls(slow, account) == {TOKEN: 1, INFO: 1}


async def test_a_user_does_not_stand_behind_a_renewal_in_the_background(slow: Scene, viewer: str) -> None:
    """Which waits in its own queue, and uses what the user's renewal brought."""
    [account] = await slow.accounts(viewer, 1)
    await wear(slow, account)
    await set_row(slow.running, Endpoint.TOKEN, next_at=4)
    performing = asyncio.create_task(slow.run(await slow.start(viewer)))
    await until(lambda: slow.running.tokens._oauth.token_limiter.background_queue.lock.is_held)
    async with asyncio.timeout(8):
        assert (await sync(slow, account)).error is None
        await performing
    assert calls(slow, account)[TOKEN] == 1


async def test_the_right_to_renew_is_not_held_while_a_slot_is_waited_for(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    await wear(slow, account)
    await set_row(slow.running, Endpoint.TOKEN, next_at=1.5)
    with watched_slots() as taken:
        syncing = asyncio.create_task(sync(slow, account))
        await until(lambda: taken)
        await asyncio.sleep(0.3)
        [pair] = await stored.sealed_pairs(slow.running, viewer)
        assert (pair.lease_id, pair.attempted_at) == (None, None)
        assert (await syncing).error is None
    assert taken.counts == calls(slow, account) == {TOKEN: 1, INFO: 1}


async def test_connecting_and_disconnecting_take_a_slot_for_each_call(slow: Scene, tiktok: TikTok, viewer: str) -> None:
    with watched_slots() as taken:
        account = await tiktok.connect(viewer)
        assert taken.counts == calls(slow, account) == {TOKEN: 1, INFO: 1}
        await slow.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
        await until(lambda: tiktok.revoked(account.open_id))
    assert taken.counts == calls(slow, account) == {TOKEN: 1, INFO: 1, REVOKE: 1}


async def test_a_grant_that_is_given_back_takes_a_slot_for_each_call(slow: Scene, tiktok: TikTok, viewer: str) -> None:
    with watched_slots() as taken, pytest.raises(Exception, match="did not grant"):
        await tiktok.connect(viewer, f"open-{viewer}", scopes="user.info.stats")
    assert taken.counts == {TOKEN: 1, REVOKE: 1}


async def test_a_revocation_that_has_to_renew_first_takes_two_slots_in_the_background(
    slow: Scene, tiktok: TikTok, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    await wear(slow, account)
    async with users_booked_ahead(slow.running, BOOKED_SECONDS) as taken:
        await slow.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
        await until(lambda: tiktok.revoked(account.open_id))
    assert taken.counts == {TOKEN: 1, REVOKE: 1}
    assert taken.longest_wait <= NEAR


# Our own quota


@pytest.mark.parametrize("endpoint", [Endpoint.USER_INFO, Endpoint.TOKEN])
async def test_a_full_quota_of_ours_says_nothing_of_the_account(slow: Scene, viewer: str, endpoint: Endpoint) -> None:
    [account] = await slow.accounts(viewer, 1)
    await wear(slow, account)
    await set_row(slow.running, endpoint, next_at=FULL_SECONDS)
    before = await only(slow, account)
    synced = await sync(slow, account)
    assert synced.error is not None
    assert (synced.error.code, synced.error.is_transient) == ("TIKTOK_RATE_LIMITED", True)
    assert 1 <= (synced.error.retry_after_seconds or 0) <= 4
    now = await only(slow, account)
    ignored = {"token_expires_at", "reauthorize_by", "updated_at"} if endpoint is Endpoint.USER_INFO else set()
    assert now.model_dump(exclude=ignored) == before.model_dump(exclude=ignored)
    assert (now.health_state, now.consecutive_failures, now.last_error) == (HealthState.HEALTHY, 0, None)
    assert (await stored.reasons(slow.running, viewer, "ACCOUNT_SYNC_FAILED"))[-1] == "TIKTOK_RATE_LIMITED"
    assert INFO not in calls(slow, account)
    await set_row(slow.running, endpoint, next_at=0)
    assert (await sync(slow, account)).error is None


async def test_what_is_broken_or_degraded_stays_as_it_was_while_the_quota_is_full(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    slow.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, status=503))
    degraded = (await sync(slow, account)).account
    await set_row(slow.running, Endpoint.USER_INFO, next_at=FULL_SECONDS)
    await sync(slow, account)
    assert (await only(slow, account)).model_dump() == (degraded.model_dump())


async def test_an_open_circuit_says_nothing_of_an_account_that_was_not_asked_about(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    before = await only(slow, account)
    await set_row(slow.running, Endpoint.USER_INFO, closed_until=9)
    synced = await sync(slow, account)
    assert synced.error is not None
    assert (synced.error.code, synced.error.retry_after_from_tiktok) == ("TIKTOK_UNAVAILABLE", True)
    assert (await only(slow, account)).model_dump() == before.model_dump()


async def test_a_job_that_joins_a_user_who_gets_no_slot_has_made_no_attempt(slow: Scene, viewer: str) -> None:
    [account] = await slow.accounts(viewer, 1)
    delayed = Fault(path=TOKEN_PATH, open_id=account.open_id, delay_seconds=0.5, passthrough=True)
    await wear(slow, account)
    slow.sandbox.faults.add(delayed)
    job = await slow.start(viewer)
    user = asyncio.create_task(sync(slow, account))
    await until(lambda: not slow.sandbox.faults.list_active())
    await set_row(slow.running, Endpoint.USER_INFO, next_at=11.5)
    performing = asyncio.create_task(slow.run(job))
    assert (await user).error is not None
    await set_row(slow.running, Endpoint.USER_INFO, next_at=0)
    async with asyncio.timeout(15):
        await performing
    async with slow.running.db.read() as session:
        result = (await session.scalars(select(SyncResult).where(col(SyncResult.job_id) == job.id))).one()
    assert ((await slow.job(job)).state, result.attempts) == (JobState.SUCCEEDED, 1)


async def test_a_code_is_exchanged_also_while_tiktok_is_taken_to_be_down(
    slow: Scene, tiktok: TikTok, viewer: str
) -> None:
    """It works once and for minutes, and its answer shows that TikTok is back."""
    await set_row(slow.running, Endpoint.TOKEN, closed_until=9)
    account = await tiktok.connect(viewer)
    assert account.status is AccountStatus.ACTIVE
    await wear(slow, account)
    assert (await sync(slow, account)).error is None


async def test_a_code_waits_for_its_slot_and_is_told_when_there_is_none(
    slow: Scene, tiktok: TikTok, viewer: str
) -> None:
    await set_row(slow.running, Endpoint.TOKEN, next_at=FULL_SECONDS)
    with pytest.raises(Exception, match="Too many requests") as raised:
        await tiktok.connect(viewer)
    assert getattr(raised.value, "code") == "TIKTOK_RATE_LIMITED"  # noqa: B009 - of whatever was raised
    assert await stored.has_no_rows(slow.running, viewer)


# What is known to be dead


BROKEN = {
    AccountStatus.EXPIRED: HealthReason.TOKEN_EXPIRED,
    AccountStatus.INACTIVE: HealthReason.USER_REVOKED,
}


async def dead(scene: Scene, viewer: str, status: AccountStatus) -> Account:
    """With tokens that TikTok refused, or took back."""
    [account] = await scene.accounts(viewer, 1)
    await wear(scene, account)
    scene.sandbox.state.revoke_grant(account.open_id)
    if status is AccountStatus.INACTIVE:
        await scene.running.services.removals.remove(account.open_id, 1, utc_now())
    else:
        assert (await sync(scene, account)).account.status is AccountStatus.EXPIRED
    return await only(scene, account)


@pytest.mark.parametrize("status", BROKEN)
async def test_tiktok_is_not_asked_about_what_is_known_to_be_dead(
    slow: Scene, viewer: str, status: AccountStatus
) -> None:
    account = await dead(slow, viewer, status)
    before = calls(slow, account)
    for endpoint in Endpoint:
        await set_row(slow.running, endpoint, closed_until=9)  # which nobody has to wait for either
    with watched_slots() as taken:
        for _ in range(3):
            synced = await sync(slow, account)
            assert synced.error is not None
            assert synced.error.code == "REAUTHORIZATION_REQUIRED"
        job = await slow.start(viewer)
        async with asyncio.timeout(5):
            await slow.run(job)
            await slow.running.schedule.sync_scheduled(viewer, str(account.id))
    assert (taken, calls(slow, account)) == ([], before)
    assert (await slow.job(job)).state is JobState.FAILED
    now = await only(slow, account)
    assert (now.status, now.health_reason, now.health_action) == (status, BROKEN[status], HealthAction.RECONNECT)
    assert (await stored.actions(slow.running, viewer)).count("TOKEN_REFRESH_FAILED") == (
        status is AccountStatus.EXPIRED
    )


async def test_a_new_connection_is_asked_about_again(slow: Scene, tiktok: TikTok, viewer: str) -> None:
    account = await dead(slow, viewer, AccountStatus.EXPIRED)
    await tiktok.connect(viewer, account.open_id)
    assert (await sync(slow, account)).error is None
    assert (await only(slow, account)).status is AccountStatus.ACTIVE


async def test_the_refused_refresh_token_is_not_sent_for_a_revocation_either(
    slow: Scene, tiktok: TikTok, viewer: str
) -> None:
    account = await dead(slow, viewer, AccountStatus.EXPIRED)
    before = calls(slow, account)[TOKEN]
    await slow.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)

    async def owes_nothing() -> bool:
        async with slow.running.db.read() as session:
            owed = select(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
            return (await session.scalars(owed)).first() is None

    await until(owes_nothing)
    assert calls(slow, account)[TOKEN] == before
    del tiktok


async def test_a_grant_of_another_viewer_that_is_handed_over_revives_an_expired_account(
    slow: Scene, tiktok: TikTok, viewer: str
) -> None:
    account = await tiktok.connect(viewer)
    await wear(slow, account)
    slow.sandbox.state.revoke_grant(account.open_id)
    assert (await sync(slow, account)).account.status is AccountStatus.EXPIRED
    with pytest.raises(Exception, match="Another user has connected"):
        await tiktok.connect(f"thief-{viewer}", account.open_id)
    assert (await only(slow, account)).status is AccountStatus.ACTIVE
    assert (await sync(slow, account)).error is None
