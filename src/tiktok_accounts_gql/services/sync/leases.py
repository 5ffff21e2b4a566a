"""The right to sync one account, in all processes: a lease on the row of its tokens, by the database's clock."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from tiktok_accounts_gql.db import token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tasks import cancel_and_wait

RELEASE_RETRY_SECONDS = 0.5
CLOSE_SECONDS = 2.0
FRESH_SECONDS = 2.0  # a lease that began less than that ago needs no extension


class LeaseLost(Exception):
    """The lease ran out and another process syncs the account, or it was connected again: start the sync again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLease:
    """A lease on one account. `acquired_at`: by this loop's clock, in seconds."""

    viewer: Viewer
    account_id: UUID
    id: UUID
    acquired_at: float


@dataclass(frozen=True, kw_only=True)
class SyncLeases:
    """Acquires, extends and releases leases. `length`: longer than a request to TikTok takes."""

    db: Database
    length: timedelta
    _releases: "set[asyncio.Task[None]]" = field(default_factory=set, init=False)

    @retry_on_deadlock
    async def acquire(self, viewer: Viewer, account_id: UUID) -> SyncLease | None:
        """Return a lease; None while another process has it. An account without tokens has no row, and is always free."""
        acquired_at = asyncio.get_running_loop().time()
        lease = SyncLease(viewer=viewer, account_id=account_id, id=uuid4(), acquired_at=acquired_at)
        async with self.db.transaction() as session:
            is_acquired = await token_pairs.acquire_sync_lease(
                session, viewer.id, account_id, sync_lease_id=lease.id, seconds=self.length.total_seconds()
            )
            is_free = is_acquired or await token_pairs.find(session, viewer.id, account_id) is None
        return lease if is_free else None

    async def is_held(self, viewer: Viewer, account_id: UUID) -> bool:
        """Whether a process holds the lease, or died while it did: then the lease runs out."""
        async with self.db.read() as session:
            pair = await token_pairs.find(session, viewer.id, account_id)
        return pair is not None and pair.reading_id is not None

    @retry_on_deadlock
    async def extend(self, lease: SyncLease, *, wait: float) -> None:
        """Restart the lease if a good part of it is over before the request is sent, in `wait` seconds. Raises LeaseLost."""
        if asyncio.get_running_loop().time() + wait - lease.acquired_at < FRESH_SECONDS:
            return
        async with self.db.transaction() as session:
            is_extended = await token_pairs.extend_sync_lease(
                session,
                lease.viewer.id,
                lease.account_id,
                sync_lease_id=lease.id,
                seconds=self.length.total_seconds() + wait,
            )
        if not is_extended:
            raise LeaseLost

    @asynccontextmanager
    async def extend_during(self, lease: SyncLease, *, longest: timedelta) -> AsyncGenerator[None]:
        """Extend the lease if the block takes long, `longest` at most."""
        extension = asyncio.create_task(self._extend_later(lease, longest))
        try:
            yield
        finally:
            await cancel_and_wait(extension)

    async def _extend_later(self, lease: SyncLease, longest: timedelta) -> None:
        await asyncio.sleep(FRESH_SECONDS)
        with suppress(LeaseLost, ServiceUnavailable):  # a lost lease is noticed when it is extended the next time
            await self.extend(lease, wait=longest.total_seconds())

    def release_at_end(self, session: Session, lease: SyncLease) -> None:
        """Release the lease at the end of the transaction that writes the outcome, which other processes wait for."""
        token_pairs.release_sync_lease(session, lease.viewer.id, lease.account_id, lease.id)

    def release(self, lease: SyncLease) -> "asyncio.Task[None]":
        """Release the lease in a task, after a failure: or other processes would wait until it runs out."""
        release = asyncio.create_task(self._release(lease))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)
        return release

    async def close(self) -> None:
        """Wait for releases, for a moment: what is not released runs out."""
        if self._releases:
            _, unreleased = await asyncio.wait(self._releases, timeout=CLOSE_SECONDS)
            for release in unreleased:
                release.cancel()
            await asyncio.gather(*unreleased, return_exceptions=True)

    async def _release(self, lease: SyncLease) -> None:
        """Retry until the database is back, or the lease has run out anyway."""
        deadline = asyncio.get_running_loop().time() + self.length.total_seconds()
        while asyncio.get_running_loop().time() < deadline:
            with suppress(ServiceUnavailable):
                async with self.db.transaction() as session:
                    self.release_at_end(session, lease)
                return
            await asyncio.sleep(RELEASE_RETRY_SECONDS)
