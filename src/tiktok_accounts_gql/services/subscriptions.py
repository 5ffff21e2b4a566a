"""GraphQL subscriptions. Events carry no state: it is read when it is sent, so a slow client gets the latest one."""

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
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Event, Hub, JobChanged, Resync
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.viewer import Viewer

UPDATE_INTERVAL = timedelta(seconds=0.25)
DEBOUNCE = timedelta(seconds=1)
POLL_INTERVAL = timedelta(seconds=5)
READ_BATCH = 100  # accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedAccount:
    """A change, with the account as it is now; None if it is disconnected."""

    kind: ChangeKind
    account_id: UUID
    account: Account | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionService:
    """Yields the changes of jobs and accounts."""

    db: Database
    hub: Hub
    audit: AuditService

    async def watch_job(self, viewer: Viewer, job_id: UUID) -> AsyncGenerator[SyncJob]:
        """Yield the job now and at each change until it ends. One audit event covers all. Raises NoSuchJob."""
        if await self._find_job(viewer, job_id) is None:
            raise NoSuchJob
        await self.audit.record_read(viewer, AuditAction.SYNC_JOBS_READ, Detail(name="count", value=1))
        return self._yield_job(viewer, job_id)

    async def watch_accounts(self, viewer: Viewer) -> AsyncGenerator[ChangedAccount]:
        """Yield each change; changes of one account within a second are one. Each account sent is audited as read."""
        with self.hub.subscribe(
            viewer.id, matches=lambda event: isinstance(event, AccountChanged), merge_window=DEBOUNCE
        ) as subscription:
            async for event in subscription:
                changes = await self._list_changes(viewer, event)
                for start in range(0, len(changes), READ_BATCH):
                    for change in await self._read_accounts(viewer, changes[start : start + READ_BATCH]):
                        yield change

    async def _yield_job(self, viewer: Viewer, job_id: UUID) -> AsyncGenerator[SyncJob]:
        def is_of_job(event: Event) -> bool:
            return isinstance(event, JobChanged) and event.job_id == job_id

        sent_progress = None
        with self.hub.subscribe(viewer.id, matches=is_of_job) as subscription:
            while job := await self._find_job(viewer, job_id):
                counts = (job.succeeded_count, job.failed_count, job.canceled_count)
                progress = (job.state, job.started_at, job.finished_at, *counts)
                if progress != sent_progress:
                    sent_progress = progress
                    yield job
                    if job.finished_at is not None:
                        return
                    await asyncio.sleep(UPDATE_INTERVAL.total_seconds())
                with suppress(TimeoutError):  # changes by a process that sends no events are found by polling
                    async with asyncio.timeout(POLL_INTERVAL.total_seconds()):
                        await anext(subscription)

    async def _find_job(self, viewer: Viewer, job_id: UUID) -> SyncJob | None:
        async with self.db.read() as session:
            jobs = await sync_jobs.list_by_ids(session, viewer.id, [job_id])
        return jobs[0] if jobs else None

    async def _list_changes(self, viewer: Viewer, event: Event | Resync) -> list[AccountChanged]:
        """Return the event itself; for a Resync, a change for each account that the database says has changed."""
        if isinstance(event, Resync):
            async with self.db.read() as session:
                rows = await accounts.list_changed(session, viewer.id, since=event.since)
            return [AccountChanged(account_id=row.id, kind=_get_change_kind(row, event.since)) for row in rows]
        return [event] if isinstance(event, AccountChanged) else []

    async def _read_accounts(self, viewer: Viewer, changes: Sequence[AccountChanged]) -> list[ChangedAccount]:
        """Read and audit the accounts of these changes by one statement each."""
        ids = [change.account_id for change in changes if change.kind is not ChangeKind.DISCONNECTED]
        account_by_id: dict[UUID, Account] = {}
        if ids:
            async with self.db.read() as session:
                rows = await accounts.list_by_ids(session, viewer.id, ids)
            account_by_id = {account.id: account for account in rows}
            await self.audit.record_account_reads(viewer, account_by_id, len(account_by_id))
        changed = []
        for change in changes:
            account = account_by_id.get(change.account_id)
            kind = change.kind if account else ChangeKind.DISCONNECTED  # it may have been disconnected since
            changed.append(ChangedAccount(kind=kind, account_id=change.account_id, account=account))
        return changed


def _get_change_kind(account: accounts.ConnectionTimes, since: datetime) -> ChangeKind:
    if account.disconnected_at is not None:
        return ChangeKind.DISCONNECTED
    return ChangeKind.CONNECTED if account.connected_at >= since else ChangeKind.UPDATED
