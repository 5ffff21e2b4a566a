"""Accounts that nobody synced for a while are synced by themselves.

Due is an account `interval` after its last sync, a fifth earlier or later: by its id and the day, so that accounts that
were once synced together drift apart and spread over the day. The work's id names the account, its last sync
and the failures since, so any number of processes enqueue it once.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditActor
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.retries import wait_for_tiktok
from tiktok_accounts_gql.services.sync_endings import Background, Synced
from tiktok_accounts_gql.services.syncing import SyncService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import NotAsked

LOOK_EVERY = timedelta(minutes=1)
BATCH = 200
SPREAD = 0.2
JOBS_KEPT = timedelta(days=30)
PRUNE_BATCH = 100


class ScheduleService:
    """Enqueues what is due, works on it, and prunes what is old."""

    def __init__(
        self, *, db: Database, queue: JobQueue, syncing: SyncService, interval: timedelta, clock: Clock
    ) -> None:
        """`interval`: nothing is due if it is zero."""
        self._db = db
        self._queue = queue
        self._syncing = syncing
        self._interval = interval
        self._clock = clock

    async def enqueue_due(self) -> int:
        """Returns how many were enqueued, by this process or another."""
        if not self._interval:
            return 0
        now = self._clock()
        async with self._db.read() as session:
            oldest = await accounts.list_unsynced(session, since=now - self._interval * (1 - SPREAD), limit=BATCH)
        due = [account for account in oldest if self._is_due(account, now)]
        async with self._db.transaction() as session:
            for account in due:
                occasion = f"{_since(account)}:{account.consecutive_failures}"
                await self._queue.enqueue_scheduled(session, account.viewer_id, account.id, occasion=occasion)
        return len(due)

    async def perform(self, viewer_id: str, account_id: str) -> None:
        """A sync of the schedule's, whose failures show in the account's health."""
        system, began = Viewer(id=viewer_id, actor=AuditActor.SYSTEM), self._clock()

        async def nothing(session: Session, synced: Synced) -> None:
            del session, synced

        background = Background(asked_at=began - self._interval * (1 - SPREAD), also=nothing)
        while True:
            try:
                await self._syncing.sync(system, UUID(account_id), background)
            except NotAsked as error:
                if await self._syncing.wait_for_tiktok(error):
                    continue
                await self._again(viewer_id, UUID(account_id), wait_for_tiktok(error))
            except NotFound:
                pass  # disconnected meanwhile
            return

    async def _again(self, viewer_id: str, account_id: UUID, delay: timedelta) -> None:
        """Nothing was tried, so the account is due on the same occasion: it needs work of another name."""
        async with self._db.transaction() as session:
            await self._queue.enqueue_scheduled(session, viewer_id, account_id, occasion=uuid7().hex, delay=delay)

    async def prune(self) -> int:
        """Jobs that ended long ago; returns how many."""
        async with self._db.transaction() as session:
            return await sync_jobs.forget_before(session, self._clock() - JOBS_KEPT, limit=PRUNE_BATCH)

    def _is_due(self, account: Account, now: datetime) -> bool:
        last = account.last_synced_at or account.connected_at
        drift = sha256(account.id.bytes + _since(account).encode()).digest()[0] / 255 * 2 - 1
        return now - last >= self._interval * (1 + SPREAD * drift)


def _since(account: Account) -> str:
    return (account.last_synced_at or account.connected_at).isoformat()
