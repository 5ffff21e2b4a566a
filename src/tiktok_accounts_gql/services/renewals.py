"""What a renewal of tokens brought: a new pair, or a failure, is stored."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
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
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.health import Outcome
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.storing import Storing
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """A renewal that brought no grant. `attempted_at`: when it was made, if nobody knows whether TikTok did it."""

    lease_id: UUID
    attempted_at: datetime | None = None
    broken: Outcome | None = None


class Renewals:
    """Stores the outcomes of renewals."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        grants: Grants,
        audit: AuditService,
        notifications: Notifications,
        storing: Storing,
        revocations: RevocationService,
        clock: Clock,
        lease: timedelta,
    ) -> None:
        """`lease`: how long a renewal holds its pair."""
        self._db = db
        self._grants = grants
        self._audit = audit
        self._notifications = notifications
        self._storing = storing
        self._revocations = revocations
        self._clock = clock
        self._lease = lease

    async def keep(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant, lease_id: UUID) -> str:
        """Stores the new pair before anybody uses it; returns the access token that counts. Raises ReauthorizationRequired.

        Raises ServiceUnavailable if the database stays away for longer than the caller waits: the pair is held on.
        """
        return await self._storing.store(
            (pair.account_id, pair.grant_id),
            lambda: self._store(viewer, pair, grant),
            meanwhile=lambda: self._extend_lease(viewer, pair, lease_id),
            account_id=str(pair.account_id),
        )

    @retry_on_deadlock
    async def _extend_lease(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> None:
        async with self._db.transaction() as session:
            seconds = self._lease.total_seconds()
            await token_pairs.extend_refresh_lease(
                session, viewer.id, pair.account_id, lease_id=lease_id, seconds=seconds
            )

    @retry_on_deadlock
    async def _store(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Commits the new pair; if it is there already, that is the one that counts.

        Of an account that was given up meanwhile, it is the only one left to revoke.
        """
        kept = False
        with suppress(NotFound):
            async with self._db.transaction() as session:
                account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
                if kept := await self._grants.rotate(session, viewer, pair, grant):
                    changes: dict[str, Any] = {
                        **self._grants.refresh_columns(account, grant),
                        **self._revived(account, grant),
                    }
                    await accounts.change(session, viewer.id, account.id, **changes)
                    if "granted_scopes" in changes or "health_state" in changes:
                        self._publish(session, account)
                    self._audit.record(session, viewer, AuditAction.TOKEN_REFRESHED, account_id=account.id)
        return grant.access_token if kept else await self._superseded(viewer, pair, grant)

    def _revived(self, account: Account, grant: TokenGrant) -> dict[str, object]:
        """An account that another process took for expired is not: here is its new pair."""
        if account.health_reason is not HealthReason.TOKEN_EXPIRED:
            return {}
        missing = self._grants.has_missing_scopes(grant.scopes or account.granted_scopes)
        return {**health.worked(account, self._clock(), scopes_missing=missing), "last_error": None}

    async def _superseded(self, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> str:
        """Stored by a commit whose outcome was not known, or connected anew meanwhile: that pair counts.

        Disconnected: this one still has to end.
        """
        async with self._db.read() as session:
            current = await token_pairs.find(session, viewer.id, pair.account_id)
        if current is not None:
            return self._grants.open(current, "access_token")
        await self._revocations.enqueue_grant(viewer, pair.account_id, grant)
        raise ReauthorizationRequired

    async def keep_refresh_token(self, viewer: Viewer, pair: TokenPair, refresh_token: str) -> None:
        """Stores what a renewal brought without an access token."""

        async def write() -> None:
            async with self._db.transaction() as session:
                await self._grants.rotate_refresh_token(session, viewer, pair, refresh_token)

        await self._storing.store((pair.account_id, pair.grant_id, "alone"), write, account_id=str(pair.account_id))

    @retry_on_deadlock
    async def record_failure(
        self, viewer: Viewer, pair: TokenPair, error: TikTokError | TokensUnreadable, attempt: FailedAttempt
    ) -> None:
        """Lets the lease go, and breaks the account if the attempt did."""
        now, log_id = self._clock(), getattr(error, "log_id", None)
        details = [Detail(name="reason", value=type(error).__name__), Detail(name="tiktokLogId", value=log_id)]
        if pair.attempted_at is not None:
            details.append(Detail(name="earlierOutcomeUnknown", value=pair.attempted_at))
        async with self._db.transaction() as session:
            account = await accounts.get(session, viewer.id, pair.account_id, lock=True)
            if attempt.broken is not None:
                changes = health.happened(account, attempt.broken, now, counted=False)
                await accounts.change(session, viewer.id, account.id, updated_at=now, **changes)
                self._publish(session, account)
            await token_pairs.release_refresh_lease(
                session,
                viewer.id,
                account.id,
                lease_id=attempt.lease_id,
                attempted_at=attempt.attempted_at,
            )
            action = AuditAction.TOKEN_REFRESH_FAILED
            self._audit.record(session, viewer, action, account_id=account.id, details=details)

    def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self._notifications.publish(session, account.viewer_id, event)
