"""Commits the outcome of a sync: everything it writes and the end of its lease, in one transaction.

Outcomes of background syncs are written in batches, because no user waits for them.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from tiktok_accounts_gql.db import account_writes
from tiktok_accounts_gql.db.batch_writer import BatchSignal, BatchWriter
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.services.sync.leases import SyncLeases
from tiktok_accounts_gql.services.sync.outcomes import (
    AlreadySynced,
    BackgroundSync,
    Outcome,
    OutcomeServices,
    SyncedAccount,
)
from tiktok_accounts_gql.services.viewer import Viewer

BATCH_DELAY = timedelta(milliseconds=250)  # as often as a subscription is told about a job


class OutcomeWriter:
    """Writes outcomes: a user's at once, those of background work in batches."""

    def __init__(self, *, db: Database, leases: SyncLeases, services: OutcomeServices, batch_size: int) -> None:
        """`batch_size`: how many accounts a process syncs at the same time."""
        self._db = db
        self._leases = leases
        self._services = services
        self._batches = BatchWriter(db, self._write_batch, max_delay=BATCH_DELAY, max_size=batch_size)

    async def write(self, outcome: Outcome) -> SyncedAccount:
        """Write an outcome; return the account after it. Raises NotFound if the account is not the viewer's, or no longer."""
        if outcome.attempt.background is None:
            return await self._batches.run_now(outcome)
        return await self._batches.run(outcome.attempt.account.id, outcome)

    @retry_on_deadlock
    async def write_shared(self, viewer: Viewer, synced: SyncedAccount, background: BackgroundSync | None) -> None:
        """Write the audit event of a caller that waited for another caller's sync, and what its background sync adds."""
        async with self._db.transaction() as session:
            self._services.record_shared(session, viewer, synced)
            if background is not None:
                await background.write(session, synced)

    async def _write_batch(self, session: Session, outcomes: Sequence[Outcome]) -> list[SyncedAccount | BatchSignal]:
        """Write those whose accounts can be locked at once; the others are written later, each by itself."""
        changing = {_key(outcome) for outcome in outcomes if not isinstance(outcome, AlreadySynced)}
        is_alone = len(outcomes) == 1
        locked = await account_writes.lock(session, changing, wait=is_alone) if changing else {}
        return [
            await self._write_one(session, outcome, locked)
            if is_alone or isinstance(outcome, AlreadySynced) or _key(outcome) in locked
            else BatchSignal.RETRY_ALONE
            for outcome in outcomes
        ]

    async def _write_one(
        self, session: Session, outcome: Outcome, locked: Mapping[tuple[str, UUID], Account]
    ) -> SyncedAccount:
        attempt = outcome.attempt
        account = attempt.account if isinstance(outcome, AlreadySynced) else locked.get(_key(outcome))
        if account is None:
            raise NotFound
        synced = outcome.apply(session, account, self._services)
        self._leases.release_at_end(session, attempt.lease)
        if attempt.background is not None:
            await attempt.background.write(session, synced)
        return synced


def _key(outcome: Outcome) -> tuple[str, UUID]:
    return outcome.attempt.viewer.id, outcome.attempt.account.id
