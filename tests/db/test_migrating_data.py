"""Migration of all kinds of rows, damaged ones included: from revision 0004 to the head, down, and up again."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

from alembic import command
from sqlalchemy import Connection, insert, text
from sqlmodel import SQLModel

from tests.db.totals import recount
from tests.support.rows import NOON, account
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import account_totals
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import _build_config, check_migrated, migrate
from tiktok_accounts_gql.db.models import (
    Account,
    AccountStatus,
    AuditAction,
    AuditActor,
    AuditEvent,
    HealthAction,
    HealthState,
    PendingRevocation,
    Snapshot,
    SyncJob,
    SyncOutcome,
    SyncResult,
    TokenPair,
    WebhookEvent,
)

BEFORE = "0004"
VIEWERS = ("ann", "ben")
KINDS = (Account, TokenPair, PendingRevocation, Snapshot, SyncJob, SyncResult, AuditEvent, WebhookEvent)
TABLES = [str(kind.__tablename__) for kind in KINDS]


BROKEN: dict[str, Any] = {"health_state": HealthState.BROKEN, "health_action": HealthAction.RECONNECT}


def accounts_of(viewer: str) -> list[Account]:
    rows = [
        account(viewer, 0, display_name="İstanbul", follower_count=5, profile_url="https://www.tiktok.com/@a"),
        account(viewer, 1, status=AccountStatus.EXPIRED, **BROKEN, likes_count=7),
        account(viewer, 2, status=AccountStatus.INACTIVE, **BROKEN, likes_count=2**53 - 1),
        account(viewer, 3, disconnected_at=NOON, follower_count=9),
        account(viewer, 4, follower_count=2**62, likes_count=2**60, video_count=3, profile_url="http://a"),
        account(viewer, 5, profile_url="javascript:alert(1)"),
    ]
    return [row.model_copy(update={"video_count": -7}) if number == 5 else row for number, row in enumerate(rows)]


def rows_of(row: Account) -> list[SQLModel]:
    """Return the rows of other tables that an account may have."""
    of_account: dict[str, Any] = {"viewer_id": row.viewer_id, "account_id": row.id}
    job = SyncJob(viewer_id=row.viewer_id, total_count=2, succeeded_count=1, created_at=NOON)
    of_job: dict[str, Any] = {"viewer_id": row.viewer_id, "job_id": job.id}
    return [
        TokenPair(**of_account, access_token=b"a", refresh_token=b"r", issued_at=NOON, expires_at=NOON),
        PendingRevocation(
            **of_account, access_token=b"a", access_token_expires_at=NOON, next_attempt_at=NOON, given_up_at=NOON
        ),
        Snapshot(**of_account, recorded_at=NOON, hour=1, follower_count=2**60, likes_count=4),
        job,
        SyncResult(**of_job, account_id=row.id, position=0, turn=2, outcome=SyncOutcome.SUCCEEDED),
        SyncResult(**of_job, account_id=uuid4(), position=1, turn=3),
        AuditEvent(
            **of_account,
            action=AuditAction.ACCOUNT_SYNCED,
            is_change=False,
            created_at=NOON,
            actor=AuditActor.USER,
            details=[],
        ),
        WebhookEvent(body_hash=uuid4().bytes, body=b"{}", received_at=NOON),
    ]


async def run(db: Database, act: Any) -> Any:
    async with db.transaction() as session:
        return await (await session.connection()).run_sync(act)


def downgrade(connection: Connection) -> None:
    command.downgrade(_build_config(connection), BEFORE)


async def filled(db: Database) -> None:
    await migrate(db)
    rows = [row for viewer in VIEWERS for row in accounts_of(viewer)]
    async with db.transaction() as session:
        await session.execute(insert(Account), [row.model_dump() for row in rows])
        for row in rows:
            for related in rows_of(row):
                await session.execute(insert(type(related)).values(**related.model_dump()))
    await run(db, downgrade)


async def held(db: Database) -> dict[str, int]:
    async with db.read() as session:
        return {name: (await session.execute(text(f"SELECT count(*) FROM {name}"))).scalar_one() for name in TABLES}


async def column(db: Database, name: str, table: str = "accounts") -> set[Any]:
    async with db.read() as session:
        return set((await session.execute(text(f"SELECT {name} FROM {table}"))).scalars())


async def is_whole(db: Database) -> None:
    for viewer in VIEWERS:
        summary = await account_totals.summarize(db, viewer)
        assert summary == await recount(db, viewer)
        assert (summary.total_accounts, summary.expired_accounts, summary.inactive_accounts) == (5, 1, 1)
        assert (summary.total_followers, summary.total_videos) == (5, 3)
    assert await column(db, "profile_url") == {None, "https://www.tiktok.com/@a"}
    assert await column(db, "follower_count", "snapshots") == {None}
    async with db.read() as session:
        due = (await session.execute(text("SELECT count(*) FROM accounts WHERE next_sync_at IS NOT NULL"))).scalar_one()
    assert due == len(VIEWERS) * 3
    await check_migrated(db)


async def test_data_of_an_earlier_version_comes_to_the_head_whole(empty: Database) -> None:
    await filled(empty)
    before = await held(empty)
    await migrate(empty)
    assert await held(empty) == before
    await is_whole(empty)


async def test_down_and_up_again_loses_no_row(empty: Database) -> None:
    await filled(empty)
    before = await held(empty)
    for _ in range(2):
        await migrate(empty)
        await run(empty, downgrade)
        assert await held(empty) == before
    await migrate(empty)
    await is_whole(empty)


async def test_two_processes_bring_data_to_the_head_at_the_same_time(empty: Database, empty_url: str) -> None:
    await filled(empty)
    other = Database.open(empty_url)
    await asyncio.gather(migrate(empty), migrate(other))
    await other.close()
    await is_whole(empty)


async def test_times_that_the_migration_sets_are_read_as_times(empty: Database) -> None:
    await filled(empty)
    await migrate(empty)
    async with empty.read() as session:
        rows = (await session.execute(Account.__table__.select().where(text("next_sync_at IS NOT NULL")))).all()  # type: ignore[attr-defined]
    now = utc_now()
    assert all(now - timedelta(minutes=1) < row.next_sync_at < now + timedelta(days=1, minutes=1) for row in rows)
