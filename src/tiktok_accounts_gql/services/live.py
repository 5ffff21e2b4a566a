"""What goes on, told as it goes on. Each state is read when it is told, so whoever is slow gets the latest one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tiktok_accounts_gql.db import accounts, sync_jobs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AuditAction, SyncJob
from tiktok_accounts_gql.errors import NoSuchJob
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Event, EventSubscription, Hub, JobChanged, Resync
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.viewer import Viewer

PACE = timedelta(seconds=0.25)
GATHERED = timedelta(seconds=1)
LOOK_EVERY = timedelta(seconds=5)
TOLD_TOGETHER = 100  # accounts: read and audited by one statement each


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """`account` as it is now; None when it was disconnected."""

    kind: ChangeKind
    account_id: UUID
    account: Account | None


class LiveService:
    """Watches jobs and accounts."""

    def __init__(self, *, db: Database, hub: Hub, audit: AuditService) -> None:
        self._db = db
        self._hub = hub
        self._audit = audit

    async def watch_job(self, viewer: Viewer, job_id: UUID) -> AsyncGenerator[SyncJob]:
        """The job as it is, as it moves on, and as it ends. One event of audit covers all of it. Raises NoSuchJob."""
        if await self._find_job(viewer, job_id) is None:
            raise NoSuchJob
        await self._audit.record_read(viewer, AuditAction.SYNC_JOBS_READ, Detail(name="count", value=1))
        return self._as_it_moves_on(viewer, job_id)

    async def watch_accounts(self, viewer: Viewer) -> AsyncGenerator[AccountChange]:
        """Every change; those of one account within a second are one. What is told is audited as read."""
        with self._hub.subscribe(viewer.id, matches=_is_of_account, merge_window=GATHERED) as subscription:
            async for event in subscription:
                changes = await self._changes(viewer, event)
                for start in range(0, len(changes), TOLD_TOGETHER):
                    for change in await self._told(viewer, changes[start : start + TOLD_TOGETHER]):
                        yield change

    async def _as_it_moves_on(self, viewer: Viewer, job_id: UUID) -> AsyncGenerator[SyncJob]:
        def is_of_job(event: Event) -> bool:
            return isinstance(event, JobChanged) and event.job_id == job_id

        told = None
        with self._hub.subscribe(viewer.id, matches=is_of_job) as subscription:
            while job := await self._find_job(viewer, job_id):
                if _place(job) != told:
                    told = _place(job)
                    yield job
                    if job.finished_at is not None:
                        return
                    await asyncio.sleep(PACE.total_seconds())
                await _news(subscription)

    async def _find_job(self, viewer: Viewer, job_id: UUID) -> SyncJob | None:
        async with self._db.read() as session:
            found = await sync_jobs.list_by_ids(session, viewer.id, [job_id])
        return found[0] if found else None

    async def _changes(self, viewer: Viewer, event: Event | Resync) -> list[AccountChanged]:
        if isinstance(event, Resync):
            async with self._db.read() as session:
                changed = await accounts.list_changed(session, viewer.id, since=event.since)
            return [_as_changed(account, event.since) for account in changed]
        return [event] if isinstance(event, AccountChanged) else []

    async def _told(self, viewer: Viewer, changes: Sequence[AccountChanged]) -> list[AccountChange]:
        ids = [change.account_id for change in changes if change.kind is not ChangeKind.DISCONNECTED]
        found: dict[UUID, Account] = {}
        if ids:
            async with self._db.read() as session:
                found = {one.id: one for one in await accounts.list_by_ids(session, viewer.id, ids)}
            await self._audit.record_account_reads(viewer, found, len(found))
        return [_as_told(change, found.get(change.account_id)) for change in changes]


async def _news(subscription: EventSubscription) -> None:
    """Or some time without any: then a look costs little, and finds what a process without events has done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY.total_seconds()):
            await anext(subscription)


def _is_of_account(event: Event) -> bool:
    return isinstance(event, AccountChanged)


def _place(job: SyncJob) -> tuple[object, ...]:
    """How far a job is."""
    counts = (job.succeeded_count, job.failed_count, job.canceled_count)
    return (job.state, job.started_at, job.finished_at, *counts)


def _as_told(change: AccountChanged, account: Account | None) -> AccountChange:
    kind = change.kind if account else ChangeKind.DISCONNECTED  # meanwhile, perhaps
    return AccountChange(kind=kind, account_id=change.account_id, account=account)


def _as_changed(account: accounts.Changed, since: datetime) -> AccountChanged:
    kind = ChangeKind.UPDATED
    if account.disconnected_at is not None:
        kind = ChangeKind.DISCONNECTED
    elif account.connected_at >= since:
        kind = ChangeKind.CONNECTED
    return AccountChanged(account_id=account.id, kind=kind)
