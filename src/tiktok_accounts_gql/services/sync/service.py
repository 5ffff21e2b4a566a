"""Syncs accounts, each once at a time: in this process, and in all processes by a lease (`docs/how-a-sync-runs.md`)."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import OperationError
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.sync.leases import LeaseLost, SyncLease, SyncLeases
from tiktok_accounts_gql.services.sync.outcome_writer import OutcomeWriter
from tiktok_accounts_gql.services.sync.outcomes import (
    AlreadySynced,
    BackgroundSync,
    Outcome,
    ProfileRead,
    RequestNotSent,
    SyncAttempt,
    SyncedAccount,
    SyncFailure,
    find_outcome_since,
)
from tiktok_accounts_gql.services.sync.profile_reader import Preparation, PreparationStale, ProfileReader, may_be_read
from tiktok_accounts_gql.services.sync.retries import retry_deferred_in
from tiktok_accounts_gql.services.tiktok_failures import to_operation_error
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.errors import CallDeferred, TikTokError

POLL_SECONDS = 0.2
CLOCK_SKEW = timedelta(seconds=5)  # between two servers, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """A caller's request. `preparation`: of background syncs."""

    viewer: Viewer
    account_id: UUID
    background: BackgroundSync | None
    preparation: Preparation | None = None


@dataclass(frozen=True, kw_only=True)
class SyncService:
    """Syncs accounts; callers who ask for the same account at the same time share one request to TikTok."""

    db: Database
    profiles: ProfileReader
    leases: SyncLeases
    avatars: AvatarService
    outcomes: OutcomeWriter
    clock: Clock
    _syncs: SingleFlight[SyncedAccount] = field(default_factory=SingleFlight, init=False)

    async def sync(self, viewer: Viewer, account_id: UUID, background: BackgroundSync | None = None) -> SyncedAccount:
        """Sync one account.

        1. In the background: refresh the access token and wait for a slot, before anything is held.
        2. Share a sync of the account that is under way in this process.
        3. Acquire the account's lease, or wait for the process that holds it.
        4. Request the profile from TikTok.
        5. Commit the outcome and the end of the lease.

        Raises NotFound, and CallDeferred in the background; the answer and the account tell about every other failure.
        """
        request, refused = SyncRequest(viewer=viewer, account_id=account_id, background=background), None
        while True:
            if background is not None:
                request = replace(request, preparation=await self._prepare(request, background, refused))
            try:
                return await self._share(request)
            except PreparationStale as stale:
                refused = stale.refused or refused

    async def sleep_until_retry(self, error: CallDeferred) -> bool:
        """Sleep until a deferred call may be made; False if this process is about to end, so that another one makes it."""
        return await self.profiles.gateway.limiter.sleep(retry_deferred_in(error))

    async def settle(self) -> None:
        """Wait for all syncs that are under way."""
        await self._syncs.settle()

    async def _prepare(self, request: SyncRequest, background: BackgroundSync, refused: str | None) -> Preparation:
        """Prepare the request (step 1), unless the account needs no request."""
        account = await self._get_account(request)
        if not may_be_read(account) or self._is_synced_since(account, background.requested_at):
            return Preparation()
        return await self.profiles.prepare(request.viewer, account, refused)

    async def _share(self, request: SyncRequest) -> SyncedAccount:
        """Share a sync in this process (step 2). Its error may be the other caller's alone: then this one tries by itself."""
        key = (request.viewer.id, request.account_id)
        while True:
            is_shared = self._syncs.has(key)
            try:
                synced = await self._syncs.run(key, lambda: self._sync_account(request))
            except Exception:
                if not is_shared:
                    raise
            else:
                break
        if is_shared:
            if request.background is not None and synced.error is not None and not synced.is_attempted:
                raise CallDeferred(ambiguous=False, retry_after=synced.error.retry_after_seconds)
            await self.outcomes.write_shared(request.viewer, synced, request.background)
        return synced

    async def _sync_account(self, request: SyncRequest) -> SyncedAccount:
        """Acquire the lease (step 3), again if it is lost. Whatever fails under the lease releases it."""
        viewer, account_id = request.viewer, request.account_id
        while True:
            before = await self._get_account(request) if request.background is None else None
            while (lease := await self.leases.acquire(viewer, account_id)) is None:
                before = before or await self._get_account(request)
                await asyncio.sleep(POLL_SECONDS)
                has_ended = not await self.leases.is_held(viewer, account_id)
                account = await self._get_account(request)  # last: it changes in the transaction that ends the lease
                if has_ended and (synced := find_outcome_since(before, account)):
                    await self.outcomes.write_shared(viewer, synced, request.background)
                    return synced
            try:
                return await self._sync_with_lease(request, lease, before)
            except BaseException as error:
                release = self.leases.release(lease)
                if isinstance(error, CallDeferred | PreparationStale):  # the next attempt would wait for it
                    await asyncio.wait([release])
                if not isinstance(error, LeaseLost):
                    raise

    async def _sync_with_lease(self, request: SyncRequest, lease: SyncLease, before: Account | None) -> SyncedAccount:
        """Request the profile and commit the outcome (steps 4 and 5).

        The account is read again first: another sync may have ended just before the lease was acquired.
        """
        account = await self._get_account(request)
        attempt = SyncAttempt(viewer=request.viewer, account=account, background=request.background, lease=lease)
        if (before is not None and account.last_synced_at != before.last_synced_at) or (
            request.background is not None and self._is_synced_since(account, request.background.requested_at)
        ):
            return await self.outcomes.write(AlreadySynced(attempt=attempt))
        return await self.outcomes.write(await self._request_profile(attempt, request.preparation))

    async def _request_profile(self, attempt: SyncAttempt, preparation: Preparation | None) -> Outcome:
        """Request the profile (step 4), and its picture: no request is made within a transaction."""
        try:
            user = await self.profiles.read(attempt, preparation)
        except CallDeferred as error:
            if attempt.background is not None:
                raise
            return RequestNotSent(attempt=attempt, error=to_operation_error(error))
        except TikTokError as error:
            mistake = to_operation_error(error)
            return SyncFailure(attempt=attempt, error=mistake, tiktok_log_id=error.log_id, now=self.clock())
        except OperationError as error:
            return SyncFailure(attempt=attempt, error=error, tiktok_log_id=None, now=self.clock())
        now = self.clock()
        avatar = self.avatars.build_avatar(attempt.account, await self.avatars.fetch(attempt.account, user))
        return ProfileRead(attempt=attempt, user=user, avatar=avatar, now=now)

    async def _get_account(self, request: SyncRequest) -> Account:
        async with self.db.read() as session:
            return await accounts.get(session, request.viewer.id, request.account_id)

    def _is_synced_since(self, account: Account, time: datetime) -> bool:
        """Whether the account was synced since then. A sync in the future does not count: the clock was ahead then."""
        synced_at = account.last_synced_at
        return synced_at is not None and time <= synced_at <= self.clock() + CLOCK_SKEW
