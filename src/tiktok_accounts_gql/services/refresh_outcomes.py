"""The outcomes of token refreshes, stored: a new pair of tokens, or a failure."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction, HealthReason, TokenPair
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import NotFound, ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.health import HealthEvent
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRefresh:
    """A refresh that brought no grant.

    `attempted_at`: when it was sent, if it is unknown whether TikTok carried it out. `broken`: what broke the account.
    """

    lease_id: UUID
    attempted_at: datetime | None = None
    broken: HealthEvent | None = None


@dataclass(frozen=True, kw_only=True)
class RefreshOutcomes:
    """Stores the outcomes of refreshes. `lease`: how long a refresh holds its pair of tokens."""

    db: Database
    grants: Grants
    audit: AuditService
    notifications: Notifications
    storing: DurableWriter
    revocations: RevocationService
    clock: Clock
    lease: timedelta

    async def store(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant, lease_id: UUID) -> str:
        """Store the new pair before it is used; return the valid access token. Raises ReauthorizationRequired.

        Raises ServiceUnavailable if the database is down for longer than the caller waits: the write goes on in memory.
        """
        return await self.storing.store(
            (pair.account_id, pair.grant_id),
            lambda: self._store(viewer, pair, grant),
            between_attempts=lambda: self._extend_lease(viewer, pair, lease_id),
            account_id=str(pair.account_id),
        )

    async def store_refresh_token(self, viewer: Viewer, pair: TokenPair, refresh_token: str) -> None:
        """Store what a refresh brought without an access token."""

        async def write() -> None:
            async with self.db.transaction() as session:
                await self.grants.rotate_refresh_token(session, viewer, pair, refresh_token)

        await self.storing.store((pair.account_id, pair.grant_id, "alone"), write, account_id=str(pair.account_id))

    @retry_on_deadlock
    async def record_failure(
        self, viewer: Viewer, pair: TokenPair, error: TikTokError | TokensUnreadable, failed: FailedRefresh
    ) -> None:
        """Release the lease, write the audit event, and mark the account as broken if the refresh broke it."""
        now, log_id = self.clock(), getattr(error, "log_id", None)
        details = [Detail(name="reason", value=type(error).__name__), Detail(name="tiktokLogId", value=log_id)]
        if pair.attempted_at is not None:
            details.append(Detail(name="earlierOutcomeUnknown", value=pair.attempted_at))
        async with self.db.transaction() as session:
            account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
            if failed.broken is not None:
                changes = health.columns_after_event(account, failed.broken, now, is_sync=False)
                await accounts.change(session, viewer.id, account.id, updated_at=now, **changes)
                self._publish(session, account)
            await token_pairs.release_refresh_lease(
                session, viewer.id, account.id, lease_id=failed.lease_id, attempted_at=failed.attempted_at
            )
            action = AuditAction.TOKEN_REFRESH_FAILED
            self.audit.record(session, viewer, action, account_id=account.id, details=details)

    @retry_on_deadlock
    async def _extend_lease(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> None:
        async with self.db.transaction() as session:
            seconds = self.lease.total_seconds()
            await token_pairs.extend_refresh_lease(
                session, viewer.id, pair.account_id, lease_id=lease_id, seconds=seconds
            )

    @retry_on_deadlock
    async def _store(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Commit the new pair. If the stored pair is another one by now, that one is valid."""
        is_stored = False
        with suppress(NotFound):
            async with self.db.transaction() as session:
                account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
                if is_stored := await self.grants.rotate(session, viewer, pair, grant):
                    changes, now = self.grants.refresh_columns(account, grant), self.clock()
                    if account.health_reason is HealthReason.TOKEN_EXPIRED:  # so another process thought
                        missing = self.grants.has_missing_scopes(grant.scopes or account.granted_scopes)
                        recovered = health.columns_after_success(account, now, scopes_missing=missing)
                        changes |= {**recovered, "last_error": None}
                    await accounts.change(session, viewer.id, account.id, **changes)
                    if "granted_scopes" in changes or "health_state" in changes:
                        self._publish(session, account)
                    self.audit.record(session, viewer, AuditAction.TOKEN_REFRESHED, account_id=account.id)
        return grant.access_token if is_stored else await self._resolve_superseded(viewer, pair, grant)

    async def _resolve_superseded(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Return the access token of the stored pair.

        The new pair was stored by a commit whose outcome was unknown, or the account was connected again meanwhile. If it was
        disconnected, the new grant is the only one left: it is revoked. Raises ReauthorizationRequired then.
        """
        async with self.db.read() as session:
            current = await token_pairs.find(session, viewer.id, pair.account_id)
        if current is not None:
            return self.grants.open(current, "access_token")
        await self.revocations.enqueue_grant(viewer, pair.account_id, grant)
        raise ReauthorizationRequired

    def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self.notifications.publish(session, account.viewer_id, event)
