"""How a sync of one account ends.

What came of it, the audit event, what subscribers are told and the end of the lease commit together, and with them whatever
somebody in the background has to say about it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import account_groups, snapshots
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.grouped import Alone, Grouped
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, HealthReason
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    NotFound,
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
from tiktok_accounts_gql.services.sync.leases import Lease, Leases
from tiktok_accounts_gql.services.sync_times import SyncTimes
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.values import TikTokUser

TOGETHER = timedelta(milliseconds=250)  # as often as a subscription tells of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The account as it is now; `error` says why it was not read. `was_asked`: False if TikTok was not."""

    account: Account
    synced_at: datetime | None = None
    error: OperationError | None = None
    was_asked: bool = True


Also = Callable[[Session, Synced], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A sync that nobody waits for. `asked_at`: a reading since then will do. `also` commits with the outcome."""

    asked_at: datetime
    also: Also


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One account's, from its beginning to its end."""

    viewer: Viewer
    account: Account
    background: Background | None
    lease: Lease


_MISTAKES: dict[HealthReason | None, type[OperationError]] = {
    HealthReason.RATE_LIMITED: TikTokRateLimited,
    HealthReason.TIKTOK_UNAVAILABLE: TikTokUnavailable,
    HealthReason.SCOPE_MISSING: ScopeMissing,
    HealthReason.APP_MISCONFIGURED: AppMisconfigured,
    HealthReason.TOKEN_EXPIRED: ReauthorizationRequired,
    HealthReason.TOKENS_UNREADABLE: TokensUnreadable,
    HealthReason.USER_REVOKED: ReauthorizationRequired,
    HealthReason.ACCOUNT_CLOSED: ReauthorizationRequired,
}


def outcome_since(before: Account, after: Account) -> Synced | None:
    """What another process' reading, which has just ended, left behind; nothing if it gave up. No clock is asked."""
    if after.last_synced_at != before.last_synced_at:
        return Synced(account=after, synced_at=after.last_synced_at)
    if after.last_error is None or after.consecutive_failures == before.consecutive_failures:
        return None
    return Synced(account=after, error=_MISTAKES.get(after.health_reason, SyncFailed)(after.last_error))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """`change` alters the account, which is locked, as it is now; None if there is nothing to alter.

    `is_shared`: another caller has read the account.
    """

    reading: Reading
    change: Callable[[Session, Account], Synced] | None = None
    is_shared: bool = False


class SyncEndings:
    """Writes down what came of a reading: in the background together with others, for nobody waits."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        leases: Leases,
        asked_scopes: Collection[str],
        times: SyncTimes,
        clock: Clock,
        at_once: int,
    ) -> None:
        """`asked_scopes`: those that this server asks for. `at_once`: how many accounts are read at the same time."""
        self._db = db
        self._writes = Grouped(db, self._write, moment=TOGETHER, most=at_once)
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._leases = leases
        self._scopes = frozenset(asked_scopes)
        self._times = times
        self._clock = clock

    async def succeeded(self, reading: Reading, user: TikTokUser) -> Synced:
        """The picture is fetched first: nothing is asked for within a transaction."""
        viewer, before, now = reading.viewer, reading.account, self._clock()
        picture = self._avatars.copy_of(before, await self._avatars.fetch(before, user))

        def change(session: Session, account: Account) -> Synced:
            granted = scopes.granted_after(before, account, user.scopes)
            values = {**profile_mapping.columns(user, account, granted, now), **self._avatars.store(session, picture)}
            values |= {"granted_scopes": granted, "next_sync_at": self._times.after_sync(account.open_id, now)}
            account_groups.amend(session, account, **values, **self._well(account, granted, now))
            if profile_mapping.has_counters(account):
                snapshots.add(session, account, now)
            details = profile_mapping.changed_counters(before, account)
            self._audit.record(session, viewer, AuditAction.ACCOUNT_SYNCED, account_id=account.id, details=details)
            self._publish(session, account)
            return Synced(account=account, synced_at=now)

        return await self._end(_Ending(reading=reading, change=change))

    async def failed(self, reading: Reading, error: OperationError, details: Iterable[Detail] = ()) -> Synced:
        """Only a refused authorization changes the status: every other failure passes."""
        viewer, before, now = reading.viewer, reading.account, self._clock()
        why = [Detail(name="reason", value=error.code), *details]

        def change(session: Session, account: Account) -> Synced:
            if account.connected_at == before.connected_at:  # or else the failure is of an earlier connection
                values = {**self._refused(before, account, error), **health.failed(account, error, now)}
                values |= {"last_error": error.message, "updated_at": now}
                next_sync_at = self._times.after_failure(account.open_id, now, values.get("next_retry_at"))
                account_groups.amend(session, account, **values, next_sync_at=next_sync_at)
                self._publish(session, account)
            self._audit.record(session, viewer, AuditAction.ACCOUNT_SYNC_FAILED, account_id=account.id, details=why)
            return Synced(account=account, error=error)

        return await self._end(_Ending(reading=reading, change=change))

    async def not_asked(self, reading: Reading, error: OperationError) -> Synced:
        """TikTok was not asked, which says nothing about the account: only the audit keeps that somebody wanted to."""
        viewer, why = reading.viewer, [Detail(name="reason", value=error.code)]

        def change(session: Session, account: Account) -> Synced:
            self._audit.record(session, viewer, AuditAction.ACCOUNT_SYNC_FAILED, account_id=account.id, details=why)
            return Synced(account=account, error=error, was_asked=False)

        return await self._end(_Ending(reading=reading, change=change))

    async def unread(self, reading: Reading) -> Synced:
        """Another caller has read the account since this sync was asked for."""
        return await self._end(_Ending(reading=reading, is_shared=True))

    @again_if_undone
    async def shared(self, viewer: Viewer, synced: Synced, background: Background | None) -> None:
        """For a caller that waited while another one read the account: an event of its own, and what it has to do."""
        async with self._db.transaction() as session:
            self._record_shared(session, viewer, synced)
            if background is not None:
                await background.also(session, synced)

    async def _end(self, ending: _Ending) -> Synced:
        if ending.reading.background is None:
            return await self._writes.alone(ending)
        return await self._writes.run(ending.reading.account.id, ending)

    async def _write(self, session: Session, endings: Sequence[_Ending]) -> list[Synced | Alone]:
        """One that has to wait for its account, or for which there is none, does so alone."""
        changed = {(ending.reading.viewer.id, ending.reading.account.id) for ending in endings if ending.change}
        is_alone = len(endings) == 1
        locked = await account_groups.lock(session, changed, wait=is_alone) if changed else {}
        return [
            await self._write_one(session, ending, locked)
            if is_alone or not ending.change or (ending.reading.viewer.id, ending.reading.account.id) in locked
            else Alone.LATER
            for ending in endings
        ]

    async def _write_one(self, session: Session, ending: _Ending, locked: Mapping[tuple[str, UUID], Account]) -> Synced:
        """Raises NotFound for an account that is not the viewer's, or no longer."""
        reading = ending.reading
        synced = Synced(account=reading.account, synced_at=reading.account.last_synced_at)
        if ending.change:
            account = locked.get((reading.viewer.id, reading.account.id))
            if account is None:
                raise NotFound
            synced = ending.change(session, account)
        elif ending.is_shared:
            self._record_shared(session, reading.viewer, synced)
        self._leases.end(session, reading.lease)
        if reading.background is not None:
            await reading.background.also(session, synced)
        return synced

    def _refused(self, before: Account, account: Account, error: OperationError) -> dict[str, Any]:
        """TikTok shows nothing of the account: then none of the scopes that would show it is granted."""
        if not isinstance(error, ScopeMissing):
            return {}
        return scopes.changes(account, scopes.granted_after(before, account, ()), self._scopes, self._clock())

    def _well(self, account: Account, granted_scopes: Collection[str], now: datetime) -> dict[str, Any]:
        """Nothing, if TikTok ended the authorization after the reading: then its tokens are erased."""
        if account.status is AccountStatus.INACTIVE:
            return {}
        missing = bool(self._scopes.difference(granted_scopes))
        return {**health.worked(account, now, scopes_missing=missing), "last_error": None}

    def _record_shared(self, session: Session, viewer: Viewer, synced: Synced) -> None:
        action, details = AuditAction.ACCOUNT_SYNCED, [SHARED]
        if synced.error is not None:
            action, details = AuditAction.ACCOUNT_SYNC_FAILED, [Detail(name="reason", value=synced.error.code), SHARED]
        self._audit.record(session, viewer, action, account_id=synced.account.id, details=details)

    def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self._notifications.publish(session, account.viewer_id, event)
