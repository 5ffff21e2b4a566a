"""Batches of accounts with valid tokens, written directly, and the progress of their jobs."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlmodel import col

from tests.support import rows
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import sync_jobs
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.models import Account, AuditAction, AuditEvent, Snapshot, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.sandbox.state import RecordedCall
from tiktok_accounts_gql.services.sync.jobs import JobTarget, ListedAccounts, MatchingAccounts
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH
from tiktok_accounts_gql.tiktok.values import TokenGrant
from tiktok_accounts_gql.wiring import Running

STORE_BATCH = 500
UNLIMITED = {
    "tiktok_requests_per_minute": 60_000,
    "tiktok_failures_before_pause": Settings.model_fields["tiktok_failures_before_pause"].default,
    "sync_interval": timedelta(0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A database, services without a worker, and the sandbox."""

    settings: Settings
    running: Running
    sandbox: Sandbox
    since: float = field(default_factory=time.time)

    async def accounts(self, viewer: str, count: int) -> list[Account]:
        """Store accounts that were connected just now, with tokens that the sandbox accepts."""
        now, scopes = utc_now(), sorted(self.settings.tiktok_scopes)
        times: dict[str, Any] = {"created_at": now, "connected_at": now, "updated_at": now, "health_since": now}
        new = [rows.account(viewer, number, granted_scopes=scopes, **times) for number in range(count)]
        for start in range(0, count, STORE_BATCH):
            stored = await rows.store(self.running.db, *new[start : start + STORE_BATCH])
            async with self.running.db.transaction() as session:
                for account in stored:
                    grant = self._grant(account, scopes)
                    await self.running.grants.store(session, account, grant, grant_id=uuid4(), expected_grant_id=None)
        return new

    def _grant(self, account: Account, scopes: Sequence[str]) -> TokenGrant:
        granted = self.sandbox.state.create_grant(account.open_id, ",".join(scopes))
        return TokenGrant(
            open_id=account.open_id,
            access_token=granted.access_token,
            refresh_token=granted.refresh_token,
            expires_in=7200,
            refresh_expires_in=15_552_000,
            scopes=frozenset(scopes),
        )

    async def start(self, viewer: str, ids: Sequence[UUID] | None = None) -> SyncJob:
        target: JobTarget = MatchingAccounts(filter=AccountFilter())
        if ids is not None:
            target = ListedAccounts(ids=tuple(ids))
        return (await self.running.services.jobs.start(Viewer(id=viewer), target, None)).job

    async def job(self, job: SyncJob) -> SyncJob:
        async with self.running.db.read() as session:
            return await sync_jobs.get(session, job.viewer_id, job.id)

    async def wait_until_ended(self, job: SyncJob, *, seconds: float) -> SyncJob:
        """Wait until the job has ended, and return it. Raises AssertionError after so many seconds."""
        deadline = time.monotonic() + seconds
        while (current := await self.job(job)).finished_at is None:
            assert time.monotonic() < deadline, (current, await self.count_outcomes(job))
            await asyncio.sleep(0.05)
        return current

    async def run(self, job: SyncJob) -> None:
        """Run the job's work in this process, without the engine."""
        await self.run_some(job, job.total_count)

    async def run_some(self, job: SyncJob, count: int) -> None:
        """Run the work of the job's next pending accounts."""
        async with self.running.db.read() as session:
            results = await sync_jobs.list_pending(session, job.viewer_id, job.id)
        for result in results[:count]:
            await self.running.job_runner.sync_result(job.viewer_id, str(result.id))

    async def wait_until_started(self, job: SyncJob) -> None:
        while (await self.job(job)).started_at is None:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)

    async def count_done(self, job: SyncJob) -> int:
        current = await self.job(job)
        return current.succeeded_count + current.failed_count + current.canceled_count

    async def wait_until_synced(self, job: SyncJob, count: int, *, seconds: float = 30) -> None:
        """Wait until so many of the job's accounts are done."""
        deadline = time.monotonic() + seconds
        while await self.count_done(job) < count:
            assert time.monotonic() < deadline, await self.count_outcomes(job)
            await asyncio.sleep(0.02)

    async def count_outcomes(self, job: SyncJob) -> dict[SyncOutcome, int]:
        grouped = select(col(SyncResult.outcome), func.count()).where(col(SyncResult.job_id) == job.id)
        async with self.running.db.read() as session:
            rows = await session.execute(grouped.group_by(col(SyncResult.outcome)))
            return {row[0]: row[1] for row in rows}

    async def count_syncs(self, viewer: str) -> Counter[UUID | None]:
        """Count how often each account was synced, by the audit events."""
        events = select(col(AuditEvent.account_id)).where(
            col(AuditEvent.viewer_id) == viewer, col(AuditEvent.action) == AuditAction.ACCOUNT_SYNCED
        )
        async with self.running.db.read() as session:
            return Counter((await session.scalars(events)).all())

    async def count_snapshots(self, viewer: str) -> Counter[UUID]:
        taken = select(col(Snapshot.account_id)).where(col(Snapshot.viewer_id) == viewer)
        async with self.running.db.read() as session:
            return Counter((await session.scalars(taken)).all())

    def calls(self, accounts: Sequence[Account] | None = None, *, since: float | None = None) -> list[RecordedCall]:
        """List the requests for these accounts' profiles, or for any, since the scene began."""
        open_ids = None if accounts is None else {account.open_id for account in accounts}
        return [
            call
            for call in self.sandbox.state.list_calls(USER_INFO_PATH)
            if call.time >= (since or self.since) and (open_ids is None or call.open_id in open_ids)
        ]
