"""The outcomes of a sync, each a small class that writes itself: account, snapshot, audit event and subscribers' event."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiktok_accounts_gql.db import account_writes, snapshots
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, Avatar, HealthReason
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    OperationError,
    ReauthorizationRequired,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
    TokensUnreadable,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health, scopes
from tiktok_accounts_gql.services.audit import SHARED, AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.leases import SyncLease
from tiktok_accounts_gql.services.sync.sync_times import SyncTimes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.values import TikTokUser

_ERRORS: dict[HealthReason | None, type[OperationError]] = {
    HealthReason.RATE_LIMITED: TikTokRateLimited,
    HealthReason.TIKTOK_UNAVAILABLE: TikTokUnavailable,
    HealthReason.SCOPE_MISSING: ScopeMissing,
    HealthReason.APP_MISCONFIGURED: AppMisconfigured,
    HealthReason.TOKEN_EXPIRED: ReauthorizationRequired,
    HealthReason.TOKENS_UNREADABLE: TokensUnreadable,
    HealthReason.USER_REVOKED: ReauthorizationRequired,
    HealthReason.ACCOUNT_CLOSED: ReauthorizationRequired,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedAccount:
    """An account after a sync. `error`: why it was not read. `is_attempted`: False if no request was sent to TikTok."""

    account: Account
    synced_at: datetime | None = None
    error: OperationError | None = None
    is_attempted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSync:
    """A sync that no user waits for. `requested_at`: a sync of the account since then needs no further request."""

    requested_at: datetime

    async def write(self, session: Session, synced: SyncedAccount) -> None:
        """Write more in the transaction of the outcome; nothing by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAttempt:
    """One sync under its lease. `account`: as it was before the request."""

    viewer: Viewer
    account: Account
    background: BackgroundSync | None
    lease: SyncLease


@dataclass(frozen=True, kw_only=True)
class OutcomeServices:
    """The services that outcomes write with. `requested_scopes`: those that this server asks users for."""

    audit: AuditService
    notifications: Notifications
    avatars: AvatarService
    times: SyncTimes
    requested_scopes: frozenset[str]

    def publish_update(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self.notifications.publish(session, account.viewer_id, event)

    def record_shared(self, session: Session, viewer: Viewer, synced: SyncedAccount) -> None:
        """Write the audit event of a caller whose account another caller has synced at the same time."""
        action, details = AuditAction.ACCOUNT_SYNCED, [SHARED]
        if synced.error is not None:
            action, details = AuditAction.ACCOUNT_SYNC_FAILED, [Detail(name="reason", value=synced.error.code), SHARED]
        self.audit.record(session, viewer, action, account_id=synced.account.id, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRead:
    """TikTok sent the account's profile."""

    attempt: SyncAttempt
    user: TikTokUser
    avatar: Avatar | None
    now: datetime

    def apply(self, session: Session, account: Account, services: OutcomeServices) -> SyncedAccount:
        """Write to the account, which is locked and may have changed since the attempt began."""
        before, now = self.attempt.account, self.now
        granted = scopes.merge_scopes(before, account, self.user.scopes)
        values = profile_mapping.to_columns(self.user, account, granted, now)
        values |= services.avatars.store(session, self.avatar)
        values |= {"granted_scopes": granted, "next_sync_at": services.times.after_sync(account.open_id, now)}
        if account.status is not AccountStatus.INACTIVE:  # or TikTok ended the authorization after the request
            missing = bool(services.requested_scopes.difference(granted))
            values |= {**health.columns_after_success(account, now, scopes_missing=missing), "last_error": None}
        account_writes.update_at_commit(session, account, **values)
        if profile_mapping.has_counters(account):
            snapshots.add(session, account, now)
        services.audit.record(
            session,
            self.attempt.viewer,
            AuditAction.ACCOUNT_SYNCED,
            account_id=account.id,
            details=profile_mapping.changed_counters(before, account),
        )
        services.publish_update(session, account)
        return SyncedAccount(account=account, synced_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFailure:
    """The profile could not be read. Only a refused authorization changes the account's status; other failures pass."""

    attempt: SyncAttempt
    error: OperationError
    tiktok_log_id: str | None
    now: datetime

    def apply(self, session: Session, account: Account, services: OutcomeServices) -> SyncedAccount:
        """Write to the locked account, unless the failure is of an earlier connection."""
        if account.connected_at == self.attempt.account.connected_at:
            columns = health.columns_after_failed_sync(account, self.error, self.now)
            values: dict[str, Any] = {}
            if isinstance(self.error, ScopeMissing):  # TikTok shows nothing: no scope that would show it is granted
                granted = scopes.merge_scopes(self.attempt.account, account, ())
                values |= scopes.scope_columns(account, granted, services.requested_scopes, self.now)
            values |= {**columns, "last_error": self.error.message, "updated_at": self.now}
            retry_at = columns.get("next_retry_at")
            values["next_sync_at"] = services.times.after_failure(account.open_id, self.now, retry_at)
            account_writes.update_at_commit(session, account, **values)
            services.publish_update(session, account)
        details = [Detail(name="reason", value=self.error.code)]
        if self.tiktok_log_id:
            details.append(Detail(name="tiktokLogId", value=self.tiktok_log_id))
        action = AuditAction.ACCOUNT_SYNC_FAILED
        services.audit.record(session, self.attempt.viewer, action, account_id=account.id, details=details)
        return SyncedAccount(account=account, error=self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNotSent:
    """No request was sent, which says nothing about the account: only the audit event is written."""

    attempt: SyncAttempt
    error: OperationError

    def apply(self, session: Session, account: Account, services: OutcomeServices) -> SyncedAccount:
        action, details = AuditAction.ACCOUNT_SYNC_FAILED, [Detail(name="reason", value=self.error.code)]
        services.audit.record(session, self.attempt.viewer, action, account_id=account.id, details=details)
        return SyncedAccount(account=account, error=self.error, is_attempted=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadySynced:
    """Another caller has synced the account since this sync was requested: the account itself stays as it is."""

    attempt: SyncAttempt

    def apply(self, session: Session, account: Account, services: OutcomeServices) -> SyncedAccount:
        synced = SyncedAccount(account=account, synced_at=account.last_synced_at)
        services.record_shared(session, self.attempt.viewer, synced)
        return synced


Outcome = ProfileRead | SyncFailure | RequestNotSent | AlreadySynced


def find_outcome_since(before: Account, after: Account) -> SyncedAccount | None:
    """Return what the sync of another process did between the two states; None if it gave up. No clock is involved."""
    if after.last_synced_at != before.last_synced_at:
        return SyncedAccount(account=after, synced_at=after.last_synced_at)
    if after.last_error is None or after.consecutive_failures == before.consecutive_failures:
        return None
    return SyncedAccount(account=after, error=_ERRORS.get(after.health_reason, SyncFailed)(after.last_error))
