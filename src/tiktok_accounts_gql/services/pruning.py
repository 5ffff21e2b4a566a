"""What nobody asks about any more, of viewers who may never come back."""

from datetime import datetime, timedelta
from typing import Protocol

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import connection_attempts, idempotency
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.services.authorizations import KEPT as ATTEMPTS_KEPT
from tiktok_accounts_gql.services.idempotency import LIFETIME as KEYS_KEPT

PRUNED_AT_ONCE = 1000


class _ForgetSome(Protocol):
    async def __call__(self, session: Session, time: datetime, *, limit: int) -> int: ...


class PruningService:
    """Deletes old idempotency keys and connection attempts."""

    def __init__(self, *, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def prune(self) -> int:
        """Until nothing old is left, in transactions that others get between; how many rows. Raises ServiceUnavailable."""
        keys = await self._forget(idempotency.delete_batch_before, KEYS_KEPT)
        return keys + await self._forget(connection_attempts.delete_batch_before, ATTEMPTS_KEPT)

    async def _forget(self, forget_some: _ForgetSome, kept: timedelta) -> int:
        before, forgotten = self._clock() - kept, 0
        while True:
            async with self._db.transaction() as session:
                some = await forget_some(session, before, limit=PRUNED_AT_ONCE)
            forgotten += some
            if some < PRUNED_AT_ONCE:
                return forgotten
