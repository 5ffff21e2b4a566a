"""The schedule: accounts that were not synced for an interval are synced in the background.

Every account carries the time of its next sync (`sync_times.py`); each sync and each connection sets the next one. Accounts
that are due are enqueued, oldest first, and get their next time in the same transaction: so any number of processes enqueue
an account once, and an account whose work fails in any way comes behind all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, schedule, sync_jobs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import AccountStatus, AuditActor
from tiktok_accounts_gql.db.schedule import ScheduledSync
from tiktok_accounts_gql.errors import NotFound, ServiceUnavailable
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.sync.outcomes import BackgroundSync
from tiktok_accounts_gql.services.sync.retries import retry_deferred_in
from tiktok_accounts_gql.services.sync.service import SyncService
from tiktok_accounts_gql.services.sync.sync_times import SPREAD, SyncTimes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import CallDeferred

ENQUEUE_INTERVAL = timedelta(minutes=1)
BATCH = 100
MAX_BATCHES = 20  # more than TikTok's quota lets us read in a minute; the rest stays due
PLACE_BATCH = 1000
JOB_RETENTION = timedelta(days=30)
PRUNE_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class ScheduleService:
    """Enqueues the accounts that are due, syncs them, and deletes old jobs."""

    db: Database
    queue: JobQueue
    syncing: SyncService
    times: SyncTimes
    failures: FailureLog
    clock: Clock

    async def enqueue_due(self) -> int:
        """Enqueue the accounts that are due; return how many this process enqueued."""
        if not self.times.interval:
            return 0
        await self._place_all()
        now, enqueued, last = self.clock(), 0, None
        for _ in range(MAX_BATCHES):
            async with self.db.read() as session:
                due = await schedule.list_due(session, now=now, after=last, limit=BATCH)
            enqueued += await self._enqueue(due, now)
            if len(due) < BATCH:
                break
            last = due[-1]
        return enqueued

    async def _enqueue(self, due: Sequence[ScheduledSync], now: datetime) -> int:
        """Enqueue accounts and return how many; those that cannot be enqueued are pushed back."""
        enqueued: list[ScheduledSync] = []

        async def enqueue(accounts: Sequence[ScheduledSync]) -> None:
            async with self.db.transaction() as session:
                locked = await schedule.lock_due(session, [account.id for account in accounts], now=now)
                for account in locked:
                    occasion = account.next_sync_at.isoformat() if account.next_sync_at else ""
                    await self.queue.enqueue_scheduled(session, account.viewer_id, account.id, occasion=occasion)
                times = [(account, self.times.after_sync(account.open_id, now)) for account in locked]
                schedule.set_times(session, times)
            enqueued.extend(locked)

        async def push_back(accounts: Sequence[ScheduledSync]) -> None:
            async with self.db.transaction() as session:
                schedule.set_times(session, [(account, now + self.times.pause()) for account in accounts])

        failed = await self.failures.run_bisecting(FailureKind.SCHEDULE, due, enqueue, ids_of=_account_ids)
        await self.failures.run_bisecting(FailureKind.SCHEDULE, failed, push_back, ids_of=_account_ids)
        return len(enqueued)

    async def _place_all(self) -> None:
        """Spread over an interval the accounts that have no time, or a time of a longer interval configured before."""
        while True:
            now = self.clock()
            async with self.db.read() as session:
                misplaced = await schedule.list_misscheduled(
                    session,
                    latest=self.times.latest(now),
                    latest_retry=self.times.latest_retry(now),
                    limit=PLACE_BATCH,
                )
            failed = await self.failures.run_bisecting(
                FailureKind.SCHEDULE, misplaced, partial(self._place, now), ids_of=_account_ids
            )
            if failed or len(misplaced) < PLACE_BATCH:
                return  # accounts that failed would come first again: the others follow the next time

    async def _place(self, now: datetime, misplaced: Sequence[ScheduledSync]) -> None:
        times = [(account, self.times.within_interval(account.open_id, now)) for account in misplaced]
        async with self.db.transaction() as session:
            schedule.set_times(session, times)

    async def sync_scheduled(self, viewer_id: str, account_id: str) -> None:
        """Sync an account of the schedule. Failures show in the account's health; unexpected ones only push it back."""
        system = Viewer(id=viewer_id, actor=AuditActor.SYSTEM)
        try:
            await self._sync(system, UUID(account_id))
        except NotFound:
            return  # disconnected meanwhile
        except ServiceUnavailable:
            raise  # the worker waits for the database
        except Exception as error:  # noqa: BLE001 - recorded
            self.failures.record(FailureKind.SCHEDULED_SYNC, error, account_id=account_id)
            with self.failures.suppress(FailureKind.SCHEDULED_SYNC, account_id=account_id):
                async with self.db.transaction() as session:
                    next_sync_at = self.clock() + self.times.pause()
                    await accounts.change(session, system.id, UUID(account_id), next_sync_at=next_sync_at)

    async def _sync(self, system: Viewer, account_id: UUID) -> None:
        """Sync the account unless it is not active; again when TikTok is back, if it is down."""
        async with self.db.read() as session:
            account = await accounts.get(session, system.id, account_id)
        if account.status is not AccountStatus.ACTIVE:
            return
        # A recent sync will do, unless the account fails: then only a new one fixes it.
        max_age = timedelta(0) if account.consecutive_failures else self.times.interval * (1 - SPREAD)
        background = BackgroundSync(requested_at=self.clock() - max_age)
        while True:
            try:
                await self.syncing.sync(system, account_id, background)
            except CallDeferred as error:
                if await self.syncing.sleep_until_retry(error):
                    continue
                # No request was sent and the account is still due: the queue needs another name for the same work.
                async with self.db.transaction() as session:
                    await self.queue.enqueue_scheduled(
                        session, system.id, account_id, occasion=uuid7().hex, delay=retry_deferred_in(error)
                    )
            return

    async def prune(self) -> int:
        """Delete all jobs that ended long ago; return how many."""
        before, pruned = self.clock() - JOB_RETENTION, 0
        last: sync_jobs.EndedJob | None = None
        while True:
            async with self.db.read() as session:
                ended = await sync_jobs.list_ended(session, before=before, after=last, limit=PRUNE_BATCH)
            failed = await self.failures.run_bisecting(FailureKind.PRUNING, ended, self._delete, ids_of=_job_ids)
            pruned += len(ended) - len(failed)
            if len(ended) < PRUNE_BATCH:
                return pruned
            last = ended[-1]

    async def _delete(self, jobs: Sequence[sync_jobs.EndedJob]) -> None:
        async with self.db.transaction() as session:
            await sync_jobs.delete_jobs(session, [job.id for job in jobs])


def _account_ids(account: ScheduledSync) -> dict[str, str]:
    return {"account_id": str(account.id)}


def _job_ids(job: sync_jobs.EndedJob) -> dict[str, str]:
    return {"sync_job_id": str(job.id)}
