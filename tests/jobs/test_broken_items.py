"""What is broken stops nothing behind it: renewals, revocations, webhooks, pruning, thinning and groups of audit events.

Breakage is real: bytes of sealed tokens, and rows that the database refuses to change.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import delete, select, update
from sqlmodel import col

from tests.support.breaking import literal, refuse
from tests.support.rows import account as row
from tests.support.rows import store
from tests.support.schedules import FakeClock, ScheduleScene
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import snapshots
from tiktok_accounts_gql.db.models import (
    Account,
    AuditAction,
    AuditEvent,
    PendingRevocation,
    RequestQuota,
    Snapshot,
    SyncJob,
    TokenPair,
    WebhookEvent,
)
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services import tokens
from tiktok_accounts_gql.services.failures import FailureKind
from tiktok_accounts_gql.services.history import DETAIL_RETENTION
from tiktok_accounts_gql.services.sync import schedule
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH
from tiktok_accounts_gql.wiring import open_services

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "a byte flipped": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
    "its beginning gone": lambda sealed: sealed[3:],
    "empty": lambda _: b"",
    "of no known key": lambda sealed: bytes(len(sealed)),
}


@pytest_asyncio.fixture
async def scene(own: Settings, sandbox: Sandbox) -> AsyncGenerator[ScheduleScene]:
    clock, failures = FakeClock(utc_now()), Counter[FailureKind]()
    async with open_services(own, clock=clock, count_failure=lambda kind: failures.update([kind])) as running:
        yield ScheduleScene(settings=own, running=running, sandbox=sandbox, clock=clock, failures=failures)
    sandbox.faults.clear()


async def pair_of(scene: ScheduleScene, account: Account) -> TokenPair:
    async with scene.running.db.read() as session:
        return (await session.scalars(select(TokenPair).where(col(TokenPair.account_id) == account.id))).one()


async def ending(scene: ScheduleScene, viewer: str, count: int) -> list[Account]:
    """Accounts whose authorization ends in some days, in this order."""
    accounts = await scene.accounts(viewer, count)
    for number, account in enumerate(accounts):
        await scene.change(account, reauthorize_by=scene.clock.now + timedelta(days=3, minutes=number))
    async with scene.running.db.transaction() as session:
        issued = update(TokenPair).values(issued_at=scene.clock.now - timedelta(days=30))
        await session.execute(issued.where(col(TokenPair.viewer_id) == viewer))
    return accounts


def refreshes(scene: ScheduleScene, account: Account) -> int:
    return len(scene.sandbox.state.list_calls(open_id=account.open_id, kind="refresh_token"))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_renewals_go_on_behind_tokens_that_do_not_open(
    scene: ScheduleScene, viewer: str, damage: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_EXPIRING_BATCH", 3)
    *broken, fine = await ending(scene, viewer, 5)
    for account in broken:
        pair = await pair_of(scene, account)
        damaged = {"access_token": damage(pair.access_token), "refresh_token": damage(pair.refresh_token or b"")}
        async with scene.running.db.transaction() as session:
            own = update(TokenPair).where(col(TokenPair.account_id) == account.id)
            await session.execute(own.values(**damaged))
    await scene.running.tokens.refresh_expiring()
    assert refreshes(scene, fine) == 1
    assert (await pair_of(scene, fine)).issued_at == scene.clock.now
    assert [refreshes(scene, account) for account in broken] == [0] * 4


@pytest.mark.parametrize(  # the second waits: a pair that cannot be stored is held, one account after the other
    "where", ["UPDATE token_pairs", pytest.param("INSERT audit_events", marks=pytest.mark.proof)]
)
async def test_renewals_go_on_behind_what_nobody_expects(
    scene: ScheduleScene, viewer: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_EXPIRING_BATCH", 3)
    *broken, fine = await ending(scene, viewer, 5)
    change, table = where.split()
    for account in broken:
        await refuse(scene.running.db, change, table, f"NEW.account_id = {literal(scene.running.db, account.id)}")
    await scene.running.tokens.refresh_expiring()
    assert refreshes(scene, fine) == 1
    assert scene.failures[FailureKind.TOKEN_RENEWAL] == 4


async def answers_again(scene: ScheduleScene) -> None:
    """TikTok does, and is not taken to be down any more."""
    scene.sandbox.faults.clear()
    async with scene.running.db.transaction() as session:
        await session.execute(delete(RequestQuota))


async def owed(scene: ScheduleScene, viewer: str, count: int) -> list[Account]:
    """Disconnected accounts whose revocations TikTok did not take, and which are due now."""
    accounts = await scene.accounts(viewer, count)
    scene.sandbox.faults.add(Fault(path=REVOKE_PATH, status=503, times=None))
    for account in accounts:
        await scene.running.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await scene.running.revocations.close()  # which tries at once, beside the disconnection
    await answers_again(scene)
    async with scene.running.db.transaction() as session:
        for number, account in enumerate(accounts):
            due = update(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
            await session.execute(due.values(next_attempt_at=scene.clock.now - timedelta(minutes=20 - number)))
    return accounts


async def still_owed(scene: ScheduleScene) -> dict[UUID, PendingRevocation]:
    async with scene.running.db.read() as session:
        return {one.account_id: one for one in await session.scalars(select(PendingRevocation))}


@pytest.mark.parametrize("damage", [*DAMAGES.values(), None], ids=[*DAMAGES, "a row that stays"])
async def test_revocations_go_on_behind_broken_ones_which_come_later_and_are_given_up(
    scene: ScheduleScene, viewer: str, damage: Damage | None
) -> None:
    *broken, fine = await owed(scene, viewer, 4)
    for account in broken:
        if damage is None:
            key = literal(scene.running.db, account.id)
            await refuse(scene.running.db, "DELETE", "owed_revocations", f"OLD.account_id = {key}")
            continue
        sealed = (await still_owed(scene))[account.id].access_token
        async with scene.running.db.transaction() as session:
            own = update(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
            await session.execute(own.values(access_token=damage(sealed)))
    assert await scene.running.revocations.process_due() == 4
    assert scene.sandbox.state.find_grant(fine.open_id) is None
    assert scene.failures[FailureKind.REVOCATION] == 3
    left = await still_owed(scene)
    assert left.keys() == {account.id for account in broken}
    assert all(one.next_attempt_at > scene.clock.now for one in left.values())
    assert await scene.running.revocations.process_due() == 0
    scene.clock.now += timedelta(days=8)
    assert await scene.running.revocations.process_due() == 3
    assert (await still_owed(scene)).keys() == (left.keys() if damage is None else set())


async def test_a_revocation_that_fails_is_tried_less_and_less_often(scene: ScheduleScene, viewer: str) -> None:
    [account] = await owed(scene, viewer, 1)
    scene.sandbox.faults.add(Fault(path=REVOKE_PATH, status=400, error="invalid_request", times=None))
    tries, end = 0, scene.clock.now + timedelta(days=6)
    while scene.clock.now < end:
        tries += await scene.running.revocations.process_due()
        scene.clock.now = (await still_owed(scene))[account.id].next_attempt_at
    assert 10 < tries < 60
    await answers_again(scene)
    assert await scene.running.revocations.process_due() == 1
    assert await still_owed(scene) == {}


def removal(open_id: str) -> bytes:
    told = {
        "event": "authorization.removed",
        "user_openid": open_id,
        "create_time": int((utc_now() + timedelta(seconds=5)).timestamp()),
        "content": json.dumps({"reason": 1}),
    }
    return json.dumps(told).encode()


@pytest.mark.parametrize("where", ["UPDATE accounts", "INSERT audit_events", "DELETE token_pairs"])
async def test_webhooks_go_on_behind_broken_ones_which_come_later_and_less_often(
    scene: ScheduleScene, viewer: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_accounts_gql.services.webhooks.BATCH", 2)
    *broken, fine = await scene.accounts(viewer, 4)
    change, table = where.split()
    own_id = {"accounts": "NEW.id", "audit_events": "NEW.account_id", "token_pairs": "OLD.account_id"}[table]
    for account in broken:
        await refuse(scene.running.db, change, table, f"{own_id} = {literal(scene.running.db, account.id)}")
    for account in (*broken, fine):
        await scene.running.services.webhooks.receive(removal(account.open_id))
        scene.clock.now += timedelta(milliseconds=1)
    assert await scene.running.services.webhooks.process_due() == 1
    by_id = {account.id: account for account in await scene.stored()}
    assert by_id[fine.id].status == "INACTIVE"
    assert {by_id[account.id].status for account in broken} == {"ACTIVE"}
    assert scene.failures[FailureKind.WEBHOOK] == 3
    assert await scene.running.services.webhooks.process_due() == 0
    assert scene.failures[FailureKind.WEBHOOK] == 3  # none was tried: their time has not come
    monkeypatch.setattr("tiktok_accounts_gql.services.webhooks.MAX_ATTEMPTS", 4)
    for _ in range(5):
        scene.clock.now += timedelta(days=2)
        await scene.running.services.webhooks.process_and_prune()
    async with scene.running.db.read() as session:
        assert (await session.scalars(select(WebhookEvent))).all() == []  # given up, and said so
    assert scene.failures[FailureKind.WEBHOOK] == 3 * 5  # the fifth was after more than a week


async def test_a_webhook_that_waits_longer_than_a_week_is_tried_first(
    scene: ScheduleScene, tiktok: TikTok, viewer: str
) -> None:
    del tiktok
    [account] = await scene.accounts(viewer, 1)
    await scene.running.services.webhooks.receive(removal(account.open_id))
    scene.clock.now += timedelta(days=30)
    await scene.running.services.webhooks.process_and_prune()
    assert [one.status for one in await scene.stored()] == ["INACTIVE"]


async def test_pruning_goes_on_behind_a_job_that_cannot_be_deleted(
    scene: ScheduleScene, viewer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "PRUNE_BATCH", 3)
    ended = scene.clock.now - schedule.JOB_RETENTION - timedelta(days=1)
    jobs = [
        SyncJob(viewer_id=viewer, total_count=0, created_at=ended, finished_at=ended + timedelta(seconds=number))
        for number in range(10)
    ]
    keys = [literal(scene.running.db, job.id) for job in jobs[:4]]
    async with scene.running.db.transaction() as session:
        session.add_all(jobs)
    await refuse(scene.running.db, "DELETE", "sync_jobs", f"OLD.id IN ({', '.join(keys)})")
    assert await scene.running.schedule.prune() == 6
    async with scene.running.db.read() as session:
        assert len((await session.scalars(select(SyncJob))).all()) == 4
    assert scene.failures[FailureKind.PRUNING] == 4


async def test_thinning_goes_on_behind_an_account_that_cannot_be_thinned(
    scene: ScheduleScene, viewer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_accounts_gql.services.history.DOWNSAMPLE_BATCH", 2)
    accounts = await store(scene.running.db, *[row(viewer, number) for number in range(6)])
    noon = (scene.clock.now - DETAIL_RETENTION - timedelta(days=3)).replace(hour=12)
    async with scene.running.db.transaction() as session:
        for account in accounts:
            for hours in range(3):
                snapshots.add(session, account, noon + timedelta(hours=hours))
    broken = accounts[:2]
    keys = ", ".join(literal(scene.running.db, account.id) for account in broken)
    await refuse(scene.running.db, "DELETE", "snapshots", f"OLD.account_id IN ({keys})")
    assert await scene.running.services.history.downsample() == 4
    async with scene.running.db.read() as session:
        left = Counter((await session.scalars(select(col(Snapshot.account_id)))).all())
    assert left == {account.id: 3 if account in broken else 1 for account in accounts}
    assert scene.failures[FailureKind.THINNING] == 2


async def test_an_audit_event_that_cannot_be_stored_fails_its_reader_alone(scene: ScheduleScene, viewer: str) -> None:
    await refuse(scene.running.db, "INSERT", "audit_events", "NEW.viewer_id LIKE 'broken%'")
    readers = [Viewer(id=f"{'broken' if number % 10 == 4 else viewer}-{number}") for number in range(40)]
    record = scene.running.services.audit.record_read
    outcomes = await asyncio.gather(
        *[record(reader, AuditAction.SUMMARY_READ) for reader in readers], return_exceptions=True
    )
    failed = {reader.id for reader, outcome in zip(readers, outcomes, strict=True) if outcome is not None}
    assert failed == {reader.id for reader in readers if reader.id.startswith("broken")}
    async with scene.running.db.read() as session:
        stored = Counter((await session.scalars(select(col(AuditEvent.viewer_id)))).all())
    assert stored == {reader.id: 1 for reader in readers if reader.id not in failed}
    assert scene.failures[FailureKind.AUDIT_GROUP] >= 1
    await record(readers[0], AuditAction.SUMMARY_READ)
