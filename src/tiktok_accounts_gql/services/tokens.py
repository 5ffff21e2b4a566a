"""Valid access tokens, for whoever calls TikTok about an account.

TikTok's refresh tokens rotate strictly: whoever loses a rotated token, or refreshes twice at once, loses the account. So:

1. Callers in one process share one refresh. Across processes the right to refresh is a lease on the row, by the
   database's clock; no transaction is open while TikTok answers. Everybody else waits for the winner's pair.
2. The lease and the attempt commit before the request. A crash later leaves both: the lease runs out, somebody else
   tries, and `attempted_at` tells that the outcome of the last try is unknown.
3. The new pair commits before anybody uses it, in a task that no caller's cancellation reaches and that the process
   waits for before it ends.
4. A refused refresh token counts only after the row was read again: somebody else may have rotated it. The token before
   it is kept for one generation, for one more try where an attempt's outcome is unknown.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction, AuditActor, HealthReason, TokenPair
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import NotFound, ReauthorizationRequired
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.health import Outcome
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, TikTokError, Unavailable
from tiktok_accounts_gql.tiktok.values import TokenGrant

RENEW_BEFORE = timedelta(minutes=5)
LEASE_MARGIN = timedelta(seconds=20)
POLL_SECONDS = 0.05
ENDING = timedelta(days=14)
RENEW_ENDING_EVERY = timedelta(hours=1)
ENDING_PAUSE = timedelta(days=1)
ENDING_BATCH = 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Of an attempt that brought no grant. `attempted_at`: when it was made, if nobody knows whether TikTok did it."""

    lease_id: UUID
    attempted_at: datetime | None = None
    expired: bool = False


class TokenService:
    """Hands out accounts' access tokens, and renews them first where they are worn."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        tiktok: TikTokClient,
        grants: Grants,
        audit: AuditService,
        notifications: Notifications,
        clock: Clock,
        lease: timedelta,
        failures: Failures,
    ) -> None:
        """`lease`: longer than a call to TikTok may take."""
        self._failures = failures
        self._db = db
        self._tiktok = tiktok
        self._grants = grants
        self._audit = audit
        self._notifications = notifications
        self._clock = clock
        self._lease = lease
        self._refreshes: SingleFlight[str] = SingleFlight()

    async def access_token(self, viewer: Viewer, account_id: UUID) -> str:
        """Raises ReauthorizationRequired, and TikTokError if a renewal is due and fails for now."""
        pair = await self._grants.get(viewer, account_id)
        if self._is_worn(pair):
            return await self._renewed(viewer, pair)
        return self._grants.open(pair, "access_token")

    async def renewed(self, viewer: Viewer, account_id: UUID, *, refused: str) -> str:
        """An access token other than the one that TikTok refused. Raises as `access_token` does."""
        pair = await self._grants.get(viewer, account_id)
        current = self._grants.open(pair, "access_token")
        return current if current != refused else await self._renewed(viewer, pair)

    async def settle(self) -> None:
        """Waits for renewals under way: a new pair must not be lost on the way to the store."""
        await self._refreshes.settle()

    async def renew_ending(self) -> int:
        """Renews all authorizations that end soon, whoever's they are; returns how many were tried.

        Each by itself, and each once: one that cannot be renewed stops none behind it.
        """
        now, tried = self._clock(), 0
        last: Account | None = None
        while True:
            async with self._db.read() as session:
                ending = await token_pairs.list_ending(
                    session, before=now + ENDING, issued_before=now - ENDING_PAUSE, after=last, limit=ENDING_BATCH
                )
            for account in ending:
                with self._failures.contained(FailureKind.TOKEN_RENEWAL, account_id=str(account.id)):
                    await self._renew_ending(account)
            tried += len(ending)
            if len(ending) < ENDING_BATCH:
                return tried
            last = ending[-1]

    async def _renew_ending(self, account: Account) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        try:
            await self._renewed(system, await self._grants.get(system, account.id))
        except (ReauthorizationRequired, TikTokError, NotFound) as error:
            log.warning("authorization not renewed", account_id=str(account.id), reason=str(error))

    def _is_worn(self, pair: TokenPair) -> bool:
        lifetime = pair.expires_at - pair.issued_at
        return pair.expires_at - self._clock() < min(RENEW_BEFORE, lifetime / 10)

    async def _renewed(self, viewer: Viewer, worn: TokenPair) -> str:
        key = (worn.account_id, worn.grant_id)
        return await self._refreshes.run(key, lambda: self._renew_or_wait(viewer, worn))

    async def _renew_or_wait(self, viewer: Viewer, worn: TokenPair) -> str:
        """Renews if nobody else does; else waits for the other's outcome, and shares it."""
        lease_id, waited, current = uuid4(), False, worn
        deadline = asyncio.get_running_loop().time() + (self._lease + LEASE_MARGIN).total_seconds()
        while current.grant_id == worn.grant_id:
            if (waited and current.lease_id is None) or asyncio.get_running_loop().time() > deadline:
                raise Unavailable("The access token could not be renewed.")  # as whoever was waited for found
            if await self._take_lease(viewer, current, lease_id):
                return await self._renew(viewer, current, lease_id)
            waited = waited or current.lease_id is not None
            await asyncio.sleep(POLL_SECONDS)
            current = await self._grants.get(viewer, worn.account_id)
        return self._grants.open(current, "access_token")

    async def _take_lease(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> bool:
        async with self._db.transaction() as session:
            seconds = self._lease.total_seconds()
            return await token_pairs.lease(session, viewer.id, pair, lease_id=lease_id, seconds=seconds)

    async def _renew(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> str:
        """`pair` as it was before the lease: its `attempted_at` tells of an earlier try whose outcome is unknown."""
        if pair.refresh_token is None:
            return await self._expire(viewer, pair, lease_id, InvalidGrant())
        try:
            grant = await self._tiktok.refresh(self._grants.open(pair, "refresh_token"))
        except InvalidGrant as error:
            return await self._refused(viewer, pair, lease_id, error)
        except TikTokError as error:
            ambiguous = isinstance(error, Unavailable) and error.ambiguous
            attempted_at = self._clock() if ambiguous else pair.attempted_at
            await self._record_failure(viewer, pair, error, _Outcome(lease_id=lease_id, attempted_at=attempted_at))
            raise
        return await self._keep(viewer, pair, grant)

    async def _keep(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Commits the new pair. Of an account that was given up meanwhile, it is the only one left to revoke."""
        kept = False
        with suppress(NotFound):
            async with self._db.transaction() as session:
                account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
                if kept := await self._grants.rotate(session, viewer, pair, grant):
                    revived = self._revived(account)
                    await accounts.change(session, viewer.id, account.id, **self._grants.lifetimes(grant), **revived)
                    if revived:
                        self._publish(session, account)
                    self._audit.record(session, viewer, AuditAction.TOKEN_REFRESHED, account_id=account.id)
        return grant.access_token if kept else await self._superseded(viewer, pair, grant)

    def _revived(self, account: Account) -> dict[str, object]:
        """An account that another process took for expired is not: here is its new pair."""
        expired = account.health_reason is HealthReason.TOKEN_EXPIRED
        return {**health.worked(account, self._clock(), scopes_missing=False), "last_error": None} if expired else {}

    async def _superseded(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Connected anew meanwhile: that pair counts. Disconnected: this one still has to end."""
        async with self._db.read() as session:
            current = await token_pairs.find(session, viewer.id, pair.account_id)
        if current is not None:
            return self._grants.open(current, "access_token")
        try:
            await self._tiktok.revoke(grant.access_token)
        except TikTokError as error:
            log.warning("revocation lost", account_id=str(pair.account_id), reason=error.message, log_id=error.log_id)
        raise ReauthorizationRequired

    async def _refused(self, viewer: Viewer, pair: TokenPair, lease_id: UUID, error: InvalidGrant) -> str:
        """The refresh token is worthless, unless somebody else rotated it meanwhile: then theirs is the valid pair."""
        current = await self._grants.get(viewer, pair.account_id)
        if current.grant_id != pair.grant_id:
            return self._grants.open(current, "access_token")
        if pair.previous_refresh_token is not None and pair.attempted_at is not None:
            grant = await self._with_previous(pair)
            if grant is not None:
                return await self._keep(viewer, pair, grant)
        return await self._expire(viewer, pair, lease_id, error)

    async def _with_previous(self, pair: TokenPair) -> TokenGrant | None:
        try:
            return await self._tiktok.refresh(self._grants.open(pair, "previous_refresh_token"))
        except TikTokError:
            return None

    async def _expire(self, viewer: Viewer, pair: TokenPair, lease_id: UUID, error: InvalidGrant) -> str:
        await self._record_failure(viewer, pair, error, _Outcome(lease_id=lease_id, expired=True))
        raise ReauthorizationRequired

    async def _record_failure(self, viewer: Viewer, pair: TokenPair, error: TikTokError, outcome: "_Outcome") -> None:
        now = self._clock()
        details = [Detail(name="reason", value=type(error).__name__), Detail(name="tiktokLogId", value=error.log_id)]
        if pair.attempted_at is not None:
            details.append(Detail(name="earlierOutcomeUnknown", value=pair.attempted_at))
        async with self._db.transaction() as session:
            account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
            if outcome.expired:
                changes = health.happened(account, Outcome.TOKEN_EXPIRED, now, counted=False)
                await accounts.change(session, viewer.id, account.id, updated_at=now, **changes)
                self._publish(session, account)
            await token_pairs.release(
                session,
                viewer.id,
                account.id,
                lease_id=outcome.lease_id,
                attempted_at=outcome.attempted_at,
            )
            action = AuditAction.TOKEN_REFRESH_FAILED
            self._audit.record(session, viewer, action, account_id=account.id, details=details)

    def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self._notifications.publish(session, account.viewer_id, event)
