"""Services on a clock that tests move, for the schedule."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, update
from sqlmodel import col

from tests.support.batches import Scene
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services.failures import FailureKind


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True)
class ScheduleScene(Scene):
    """A scene with a clock of its own, whose failures of background work are counted."""

    clock: FakeClock
    failures: Counter[FailureKind]

    async def stored(self, *conditions: object) -> list[Account]:
        async with self.running.db.read() as session:
            return list(await session.scalars(select(Account).where(*conditions).order_by(col(Account.id))))  # type: ignore[arg-type]

    async def change(self, account: Account, **values: object) -> None:
        async with self.running.db.transaction() as session:
            await session.execute(update(Account).where(col(Account.id) == account.id).values(**values))

    async def enqueued(self) -> Counter[str]:
        """Count how often each account was enqueued, by the engine's own table."""
        schema = "dbos." if self.running.db.engines[0].dialect.name == "postgresql" else ""
        ids = text(f"SELECT workflow_uuid FROM {schema}workflow_status WHERE workflow_uuid LIKE 'scheduled:%'")
        async with self.running.db.read() as session:
            return Counter(row[0].split(":")[1] for row in await session.execute(ids))
