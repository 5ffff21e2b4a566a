"""The right to read one account at TikTok, in all processes: a lease on the row of its tokens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from tiktok_accounts_gql.db import token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tasks import cancel_and_wait

RELEASE_EVERY = 0.5
CLOSING_SECONDS = 2.0
FRESH_SECONDS = 2.0


class LeaseLost(Exception):
    """Preparing took so long that somebody else reads the account, or it was connected again: begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`began`: by this loop's clock."""

    viewer: Viewer
    account_id: UUID
    id: UUID
    began: float


class Leases:
    """Takes, keeps and ends them."""

    def __init__(self, *, db: Database, length: timedelta) -> None:
        """`length`: longer than a reading takes."""
        self._db = db
        self._seconds = length.total_seconds()
        self._releases: set[asyncio.Task[None]] = set()

    @retry_on_deadlock
    async def take(self, viewer: Viewer, account_id: UUID) -> Lease | None:
        """None while somebody else has it. An account without tokens is free: there is nothing to read twice."""
        lease = Lease(viewer=viewer, account_id=account_id, id=uuid4(), began=asyncio.get_running_loop().time())
        async with self._db.transaction() as session:
            taken = await token_pairs.acquire_sync_lease(
                session, viewer.id, account_id, sync_lease_id=lease.id, seconds=self._seconds
            )
            free = taken or await token_pairs.find(session, viewer.id, account_id) is None
        return lease if free else None

    async def is_taken(self, viewer: Viewer, account_id: UUID) -> bool:
        """Or was, by somebody who died: then it runs out."""
        async with self._db.read() as session:
            pair = await token_pairs.find(session, viewer.id, account_id)
        return pair is not None and pair.reading_id is not None

    @retry_on_deadlock
    async def keep(self, lease: Lease, *, wait: float) -> None:
        """Begins anew, where a good part is gone before TikTok is asked in `wait` seconds. Raises LeaseLost."""
        if asyncio.get_running_loop().time() + wait - lease.began < FRESH_SECONDS:
            return
        async with self._db.transaction() as session:
            kept = await token_pairs.extend_sync_lease(
                session, lease.viewer.id, lease.account_id, sync_lease_id=lease.id, seconds=self._seconds + wait
            )
        if not kept:
            raise LeaseLost

    @asynccontextmanager
    async def kept(self, lease: Lease, *, longest: float) -> AsyncGenerator[None]:
        """While something is waited for, `longest` seconds at most. What is short costs nothing."""
        keeping = asyncio.create_task(self._keep_later(lease, longest))
        try:
            yield
        finally:
            await cancel_and_wait(keeping)

    async def _keep_later(self, lease: Lease, longest: float) -> None:
        """One that is lost is found to be so when it is kept the next time."""
        await asyncio.sleep(FRESH_SECONDS)
        with suppress(LeaseLost, ServiceUnavailable):
            await self.keep(lease, wait=longest)

    def end(self, session: Session, lease: Lease) -> None:
        """In the transaction of what was read, for whoever waits."""
        token_pairs.release_sync_lease(session, lease.viewer.id, lease.account_id, lease.id)

    def release(self, lease: Lease) -> asyncio.Task[None]:
        """Beside the caller, where the transaction that was to end it has failed: or others would wait until it runs out."""
        release = asyncio.create_task(self._release(lease))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)
        return release

    async def close(self) -> None:
        """What cannot be released at once runs out."""
        if self._releases:
            _, unreleased = await asyncio.wait(self._releases, timeout=CLOSING_SECONDS)
            for release in unreleased:
                release.cancel()
            await asyncio.gather(*unreleased, return_exceptions=True)

    async def _release(self, lease: Lease) -> None:
        """Until the database is back, or the lease has run out anyway."""
        deadline = asyncio.get_running_loop().time() + self._seconds
        while asyncio.get_running_loop().time() < deadline:
            with suppress(ServiceUnavailable):
                async with self._db.transaction() as session:
                    self.end(session, lease)
                return
            await asyncio.sleep(RELEASE_EVERY)
