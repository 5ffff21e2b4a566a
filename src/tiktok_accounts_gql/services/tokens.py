"""Valid access tokens, for every caller that sends requests to TikTok about an account.

TikTok rotates refresh tokens strictly: a process that loses a rotated token, or refreshes twice at once, loses the account. So:

1. Callers in one process share one refresh. Across processes the right to refresh is a lease on the row of the tokens, by
   the database's clock; no transaction is open while TikTok answers. All other callers wait for the holder's new pair.
2. The lease and the attempt commit before the request. A crash later leaves both: the lease runs out, another process
   tries, and `attempted_at` tells that the outcome of the last attempt is unknown.
3. The new pair commits before it is used, in a task that no caller's cancellation reaches, that retries until the
   database takes it, and that the process waits for before it ends.
4. A refused refresh token counts only after the row was read again: another process may have rotated it, or may hold the
   next pair while the database is down. A holder that never reported the outcome of an attempt gets `HOLDER_GRACE` to
   store it. The token before it is kept for one generation, for one more try if an attempt's outcome is unknown.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AuditActor, TokenPair
from tiktok_accounts_gql.errors import NotFound, ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.health import HealthEvent
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND, CallPolicy, RequestSlot
from tiktok_accounts_gql.services.refresh_outcomes import FailedRefresh, RefreshOutcomes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, RefreshPending, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.values import TokenGrant

REFRESH_BEFORE_EXPIRY = timedelta(minutes=5)
REFRESH_BEFORE_SHARE = 10  # a tenth of the lifetime, for tokens that live for less than 50 minutes
LEASE_MARGIN = timedelta(seconds=20)
HOLDER_GRACE = timedelta(seconds=45)
POLL_SECONDS = 0.05
EXPIRING_WITHIN = timedelta(days=14)
REFRESH_EXPIRING_INTERVAL = timedelta(hours=1)
REFRESH_EXPIRING_PAUSE = timedelta(days=1)
REFRESH_EXPIRING_BATCH = 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One refresh under a lease. `pair`: as it was before the lease, so its `attempted_at` is the attempt before this one."""

    viewer: Viewer
    pair: TokenPair
    lease_id: UUID
    policy: CallPolicy


class TokenService:
    """Hands out access tokens, and refreshes those that are about to expire."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        grants: Grants,
        outcomes: RefreshOutcomes,
        storing: DurableWriter,
        clock: Clock,
        lease: timedelta,
        failures: FailureLog,
    ) -> None:
        """`lease`: longer than a call to TikTok may take."""
        self._failures = failures
        self._db = db
        self._oauth = oauth
        self._grants = grants
        self._outcomes = outcomes
        self._storing = storing
        self._clock = clock
        self._lease = lease
        self._refreshes: SingleFlight[str] = SingleFlight()

    async def get_access_token(
        self, viewer: Viewer, account_id: UUID, policy: CallPolicy | None = None, *, refused: str | None = None
    ) -> str:
        """Return a valid access token, refreshed if necessary. `refused`: one that TikTok does not accept any more.

        Without a policy the viewer waits for it. Raises ReauthorizationRequired, TikTokError if a refresh fails for now, and
        ServiceUnavailable while a new pair waits for the database.
        """
        policy = policy or CallPolicy(viewer_id=viewer.id)
        pair = await self._grants.get(viewer, account_id)
        current = self._grants.open(pair, "access_token")
        return (
            await self._refresh_once(viewer, pair, policy)
            if self._needs_refresh(pair) or current == refused
            else current
        )

    async def find_fresh_access_token(self, viewer: Viewer, account_id: UUID) -> str | None:
        """Return the stored access token; None if it has to be refreshed first. Raises ReauthorizationRequired."""
        pair = await self._grants.get(viewer, account_id)
        return None if self._needs_refresh(pair) else self._grants.open(pair, "access_token")

    async def settle(self) -> None:
        """Wait for all refreshes: a new pair must not be lost on its way to the database."""
        await self._refreshes.settle()

    async def refresh_expiring(self) -> int:
        """Refresh all authorizations of all viewers that expire soon; return how many were tried.

        Each is tried once: one that cannot be refreshed does not stop those behind it.
        """
        now, tried = self._clock(), 0
        last: Account | None = None
        while True:
            async with self._db.read() as session:
                expiring = await token_pairs.list_ending(
                    session,
                    before=now + EXPIRING_WITHIN,
                    issued_before=now - REFRESH_EXPIRING_PAUSE,
                    after=last,
                    limit=REFRESH_EXPIRING_BATCH,
                )
            for account in expiring:
                with self._failures.suppress(FailureKind.TOKEN_RENEWAL, account_id=str(account.id)):
                    await self._refresh_expiring_account(account)
            tried += len(expiring)
            if len(expiring) < REFRESH_EXPIRING_BATCH:
                return tried
            last = expiring[-1]

    async def _refresh_expiring_account(self, account: Account) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        try:
            await self._refresh_once(system, await self._grants.get(system, account.id), BACKGROUND)
        except (ReauthorizationRequired, TikTokError, NotFound) as error:
            log.warning("authorization not refreshed", account_id=str(account.id), reason=str(error))

    def _needs_refresh(self, pair: TokenPair) -> bool:
        lifetime = pair.expires_at - pair.issued_at
        now = max(self._clock(), pair.issued_at)  # unless the clock was ahead when the pair was stored
        return pair.expires_at - now < min(REFRESH_BEFORE_EXPIRY, lifetime / REFRESH_BEFORE_SHARE)

    async def _refresh_once(self, viewer: Viewer, pair: TokenPair, policy: CallPolicy) -> str:
        key = (pair.account_id, pair.grant_id, policy.is_for_user)  # a user does not share the background's slower lane
        return await self._refreshes.run(key, lambda: self._refresh_or_wait(viewer, pair, policy))

    async def _refresh_or_wait(self, viewer: Viewer, pair: TokenPair, policy: CallPolicy) -> str:
        """Refresh the pair, or wait for the outcome of the process that does.

        The slot comes before the lease, which is not held for as long as a slot may be away.
        """
        if (access_token := await self._storing.join((pair.account_id, pair.grant_id))) is not None:
            return str(access_token)
        lease_id, has_waited, current, slot = uuid4(), False, pair, None
        is_leased = False  # by another process: then a slot would be wasted
        if pair.lease_until is not None:
            async with self._db.read() as session:
                is_leased = await token_pairs.has_refresh_lease(session, viewer.id, pair.account_id)
        if pair.refresh_token is not None and not is_leased:
            slot = await self._oauth.acquire_refresh_slot(policy)
            current = await self._grants.get(viewer, pair.account_id)
        deadline = asyncio.get_running_loop().time() + (self._lease + LEASE_MARGIN).total_seconds()
        while current.grant_id == pair.grant_id:
            if (has_waited and current.lease_id is None) or asyncio.get_running_loop().time() > deadline:
                raise RefreshPending  # the holder failed, or left the refresh to the holder before it
            if await self._acquire_lease(viewer, current, lease_id):
                attempt = _Attempt(viewer=viewer, pair=current, lease_id=lease_id, policy=policy)
                return await self._refresh_with_lease(attempt, slot)
            has_waited = has_waited or current.lease_until is not None
            await asyncio.sleep(POLL_SECONDS)
            current = await self._grants.get(viewer, pair.account_id)
        return self._grants.open(current, "access_token")

    async def _acquire_lease(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> bool:
        async with self._db.transaction() as session:
            seconds = self._lease.total_seconds()
            return await token_pairs.acquire_refresh_lease(session, viewer.id, pair, lease_id=lease_id, seconds=seconds)

    async def _refresh_with_lease(self, attempt: _Attempt, slot: RequestSlot | None) -> str:
        """Send the refresh token, and store what came of it."""
        pair = attempt.pair
        if pair.refresh_token is None:
            return await self._expire(attempt, InvalidGrant())
        try:
            grant = await self._send(attempt, "refresh_token", slot)
        except TokensUnreadable as error:
            failed = FailedRefresh(lease_id=attempt.lease_id, broken=HealthEvent.TOKENS_UNREADABLE)
            await self._outcomes.record_failure(attempt.viewer, pair, error, failed)
            raise
        except InvalidGrant as error:
            return await self._handle_refusal(attempt, error)
        except TikTokError as error:
            attempted_at = self._clock() if error.ambiguous else pair.attempted_at
            failed = FailedRefresh(lease_id=attempt.lease_id, attempted_at=attempted_at)
            await self._outcomes.record_failure(attempt.viewer, pair, error, failed)
            raise
        return await self._outcomes.store(attempt.viewer, pair, grant, attempt.lease_id)

    async def _handle_refusal(self, attempt: _Attempt, error: InvalidGrant) -> str:
        """Find out what a refused refresh token means.

        Rotated by another process: its pair is valid. Held by a process that has not reported: leave it to that process. After
        an attempt whose outcome is unknown: try the token before it. Otherwise the authorization has expired.
        """
        viewer, pair = attempt.viewer, attempt.pair
        current = await self._grants.get(viewer, pair.account_id)
        if current.grant_id != pair.grant_id:
            return self._grants.open(current, "access_token")
        if pair.lease_id is not None:
            await self._leave_to_previous_holder(attempt)
        if pair.previous_refresh_token is None or pair.attempted_at is None:
            return await self._expire(attempt, error)
        try:
            grant = await self._send(attempt, "previous_refresh_token")
        except (InvalidGrant, TokensUnreadable):
            return await self._expire(attempt, error)
        except TikTokError as transient:
            failed = FailedRefresh(lease_id=attempt.lease_id, attempted_at=pair.attempted_at)
            await self._outcomes.record_failure(viewer, pair, transient, failed)
            raise
        return await self._outcomes.store(viewer, pair, grant, attempt.lease_id)

    async def _leave_to_previous_holder(self, attempt: _Attempt) -> None:
        """Give up the lease for a holder whose lease ran out without an outcome.

        It was killed, or has the next pair in memory and no database to store it in. Raises RefreshPending.
        """
        seconds = HOLDER_GRACE.total_seconds()
        async with self._db.transaction() as session:
            await token_pairs.return_refresh_lease(
                session, attempt.viewer.id, attempt.pair, lease_id=attempt.lease_id, seconds=seconds
            )
        log.warning("refresh token refused, left to the previous holder", account_id=str(attempt.pair.account_id))
        raise RefreshPending(retry_after=seconds)

    async def _send(self, attempt: _Attempt, column: str, slot: RequestSlot | None = None) -> TokenGrant:
        """Send the refresh token of a column. The open id is read first: nothing comes between a rotation and its commit."""
        async with self._db.read() as session:
            open_id = await accounts.find_open_id(session, attempt.viewer.id, attempt.pair.account_id)
        token = self._grants.open(attempt.pair, column)
        try:
            return await self._oauth.refresh(token, open_id=open_id, policy=attempt.policy, slot=slot)
        except UnreadableReply as error:
            if error.refresh_token is not None:
                refresh_token = error.refresh_token.get_secret_value()
                await self._outcomes.store_refresh_token(attempt.viewer, attempt.pair, refresh_token)
            raise

    async def _expire(self, attempt: _Attempt, error: InvalidGrant) -> str:
        failed = FailedRefresh(lease_id=attempt.lease_id, broken=HealthEvent.TOKEN_EXPIRED)
        await self._outcomes.record_failure(attempt.viewer, attempt.pair, error, failed)
        raise ReauthorizationRequired
