"""Deletes expired rows of viewers who may never come back to have them deleted on their next request."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import connection_attempts, idempotency
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.services.authorizations import ATTEMPT_RETENTION
from tiktok_accounts_gql.services.idempotency import KEY_LIFETIME

BATCH_SIZE = 1000


class _DeleteBatch(Protocol):
    async def __call__(self, session: Session, time: datetime, *, limit: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningService:
    """Deletes old idempotency keys and connection attempts of all viewers."""

    db: Database
    clock: Clock

    async def prune(self) -> int:
        """Delete everything expired and return the number of rows. Raises ServiceUnavailable.

        It works in short transactions, so that requests do not wait for it.
        """
        keys = await self._prune_table(idempotency.delete_batch_before, KEY_LIFETIME)
        return keys + await self._prune_table(connection_attempts.delete_batch_before, ATTEMPT_RETENTION)

    async def _prune_table(self, delete_batch: _DeleteBatch, retention: timedelta) -> int:
        before, total = self.clock() - retention, 0
        while True:
            async with self.db.transaction() as session:
                count = await delete_batch(session, before, limit=BATCH_SIZE)
            total += count
            if count < BATCH_SIZE:
                return total
