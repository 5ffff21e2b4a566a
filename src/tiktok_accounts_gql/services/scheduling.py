"""Accounts that nobody synced for a while are synced by themselves.

Every account carries the time of its next sync (`sync_times.py`); whatever syncs or connects it sets the next one. What is
due is enqueued, oldest first, and gets its next time in the same transaction: so any number of processes enqueue it once, and
an account whose work fails in any way comes behind all others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, schedule, sync_jobs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AccountStatus, AuditActor
from tiktok_accounts_gql.db.schedule import ScheduledSync
from tiktok_accounts_gql.errors import NotFound, ServiceUnavailable
from tiktok_accounts_gql.jobs.queue import JobQueue
from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.services.sync.endings import Background, Synced
from tiktok_accounts_gql.services.sync.retries import wait_for_tiktok
from tiktok_accounts_gql.services.sync.syncing import SyncService
from tiktok_accounts_gql.services.sync_times import SPREAD, SyncTimes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import NotAsked

LOOK_EVERY = timedelta(minutes=1)
BATCH = 100
BATCHES_PER_LOOK = 20  # more than TikTok's quota lets us read in a minute; the rest waits where it is
PLACED = 1000  # at once
JOBS_KEPT = timedelta(days=30)
PRUNE_BATCH = 100


class ScheduleService:
    """Enqueues what is due, works on it, and prunes what is old."""

    def __init__(
        self,
        *,
        db: Database,
        queue: JobQueue,
        syncing: SyncService,
        times: SyncTimes,
        failures: Failures,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._syncing = syncing
        self._times = times
        self._failures = failures
        self._clock = clock

    async def enqueue_due(self) -> int:
        """Returns how many this process enqueued."""
        if not self._times.interval:
            return 0
        await self._place()
        now, enqueued, last = self._clock(), 0, None
        for _ in range(BATCHES_PER_LOOK):
            async with self._db.read() as session:
                due = await schedule.list_due(session, now=now, after=last, limit=BATCH)
            enqueued += await self._enqueue(due, now)
            if len(due) < BATCH:
                break
            last = due[-1]
        return enqueued

    async def _enqueue(self, due: Sequence[ScheduledSync], now: datetime) -> int:
        enqueued: list[ScheduledSync] = []

        async def act(accounts: Sequence[ScheduledSync]) -> None:
            async with self._db.transaction() as session:
                locked = await schedule.lock_due(session, [account.id for account in accounts], now=now)
                for account in locked:
                    occasion = account.next_sync_at.isoformat() if account.next_sync_at else ""
                    await self._queue.enqueue_scheduled(session, account.viewer_id, account.id, occasion=occasion)
                schedule.set_times(session, [(one, self._times.after_sync(one.open_id, now)) for one in locked])
            enqueued.extend(locked)

        async def push_back(accounts: Sequence[ScheduledSync]) -> None:
            async with self._db.transaction() as session:
                schedule.set_times(session, [(account, now + self._times.pause()) for account in accounts])

        failed = await self._failures.in_batch(FailureKind.SCHEDULE, due, act, name=_account_id)
        await self._failures.in_batch(FailureKind.SCHEDULE, failed, push_back, name=_account_id)
        return len(enqueued)

    async def _place(self) -> None:
        """Spreads accounts over an interval that have no time, or one of a longer interval that was set before."""
        while True:
            now = self._clock()
            async with self._db.read() as session:
                misplaced = await schedule.list_misscheduled(
                    session, latest=self._times.latest(now), latest_retry=self._times.latest_retry(now), limit=PLACED
                )
            act = partial(self._set_within_interval, now)
            failed = await self._failures.in_batch(FailureKind.SCHEDULE, misplaced, act, name=_account_id)
            if failed or len(misplaced) < PLACED:
                return  # those that failed would come first again: others follow at the next look

    async def _set_within_interval(self, now: datetime, misplaced: Sequence[ScheduledSync]) -> None:
        async with self._db.transaction() as session:
            schedule.set_times(session, [(one, self._times.within_interval(one.open_id, now)) for one in misplaced])

    async def perform(self, viewer_id: str, account_id: str) -> None:
        """A sync of the schedule's, whose failures show in the account's health."""
        system = Viewer(id=viewer_id, actor=AuditActor.SYSTEM)
        try:
            background = await self._background(system, UUID(account_id))
            if background is not None:
                await self._sync(system, UUID(account_id), background)
        except NotFound:
            return  # disconnected meanwhile
        except ServiceUnavailable:
            raise  # the worker waits for the database
        except Exception as error:  # noqa: BLE001 - one account's affair
            self._failures.record(FailureKind.SCHEDULED_SYNC, error, account_id=account_id)
            await self._push_back(system, UUID(account_id))

    async def _background(self, system: Viewer, account_id: UUID) -> Background | None:
        """None if there is nothing to be synced any more. Only a new reading mends what failed before."""
        async with self._db.read() as session:
            account = await accounts.get(session, system.id, account_id)
        if account.status is not AccountStatus.ACTIVE:
            return None
        lately = timedelta(0) if account.consecutive_failures else self._times.interval * (1 - SPREAD)
        return Background(asked_at=self._clock() - lately, also=_nothing)

    async def _sync(self, system: Viewer, account_id: UUID, background: Background) -> None:
        while True:
            try:
                await self._syncing.sync(system, account_id, background)
            except NotAsked as error:
                if await self._syncing.wait_for_tiktok(error):
                    continue
                await self._again(system.id, account_id, wait_for_tiktok(error))
            return

    async def _again(self, viewer_id: str, account_id: UUID, delay: timedelta) -> None:
        """Nothing was tried, so the account is due on the same occasion: it needs work of another name."""
        async with self._db.transaction() as session:
            await self._queue.enqueue_scheduled(session, viewer_id, account_id, occasion=uuid7().hex, delay=delay)

    async def _push_back(self, system: Viewer, account_id: UUID) -> None:
        """What failed in a way that nobody expected stays as it is, and is tried again after a pause."""
        with self._failures.contained(FailureKind.SCHEDULED_SYNC, account_id=str(account_id)):
            async with self._db.transaction() as session:
                next_sync_at = self._clock() + self._times.pause()
                await accounts.change(session, system.id, account_id, next_sync_at=next_sync_at)

    async def prune(self) -> int:
        """All jobs that ended long ago; returns how many."""
        before, pruned = self._clock() - JOBS_KEPT, 0
        last: sync_jobs.EndedJob | None = None
        while True:
            async with self._db.read() as session:
                old = await sync_jobs.list_ended(session, before=before, after=last, limit=PRUNE_BATCH)
            failed = await self._failures.in_batch(FailureKind.PRUNING, old, self._forget, name=_job_id)
            pruned += len(old) - len(failed)
            if len(old) < PRUNE_BATCH:
                return pruned
            last = old[-1]

    async def _forget(self, old: Sequence[sync_jobs.EndedJob]) -> None:
        async with self._db.transaction() as session:
            await sync_jobs.delete_jobs(session, [job.id for job in old])


async def _nothing(session: Session, synced: Synced) -> None:
    del session, synced


def _account_id(account: ScheduledSync) -> dict[str, str]:
    return {"account_id": str(account.id)}


def _job_id(job: sync_jobs.EndedJob) -> dict[str, str]:
    return {"sync_job_id": str(job.id)}
