"""Old detail is thinned: what is older than 90 days keeps the last snapshot of each UTC day."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from tests.support.rows import account as account_row
from tests.support.rows import store
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import snapshots
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.wiring import Running

LONG_AGO = timedelta(days=200)


def snapshot(account: Account, time: datetime, followers: int) -> Snapshot:
    return Snapshot(
        viewer_id=account.viewer_id,
        account_id=account.id,
        recorded_at=time,
        hour=snapshots.hour_of(time),
        follower_count=followers,
    )


async def followers(running: Running, account_id: UUID) -> list[int | None]:
    statement = select(Snapshot).where(col(Snapshot.account_id) == account_id).order_by(col(Snapshot.recorded_at))
    async with running.db.read() as session:
        return [one.follower_count for one in await session.scalars(statement)]


async def test_the_last_snapshot_of_each_old_day_is_kept(running: Running, viewer: str) -> None:
    one, other = await store(running.db, account_row(viewer, 1), account_row(viewer, 2))
    midnight = (utc_now() - LONG_AGO).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [midnight + timedelta(hours=hour) for hour in range(48)]
    taken = [snapshot(account, time, number) for account in (one, other) for number, time in enumerate(hours)]
    async with running.db.transaction() as session:
        snapshots.add_many(session, taken)
    await running.services.history.downsample()
    assert await followers(running, one.id) == await followers(running, other.id) == [23, 47]
    await running.services.history.downsample()
    assert await followers(running, one.id) == [23, 47]


async def test_what_is_newer_keeps_every_hour(running: Running, viewer: str) -> None:
    [account] = await store(running.db, account_row(viewer))
    today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    taken = [snapshot(account, today - timedelta(days=88, hours=hour), hour) for hour in range(24)]
    async with running.db.transaction() as session:
        snapshots.add_many(session, taken)
    await running.services.history.downsample()
    assert len(await followers(running, account.id)) == 24
