"""How a sync of one account ends.

What came of it, the audit event, what subscribers are told and the end of the lease commit together, and with them whatever
somebody in the background has to say about it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, snapshots
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.grouped import Grouped
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import UserMistake
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health, readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.leases import Lease, Leases
from tiktok_accounts_gql.services.reading import Turn
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.values import TikTokUser

TOGETHER = timedelta(milliseconds=250)  # as often as a subscription tells of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The account as it is now; `error` says why it was not read."""

    account: Account
    synced_at: datetime | None = None
    error: UserMistake | None = None


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
    turn: Turn | None
    lease: Lease


class SyncEndings:
    """Writes down what came of a reading."""

    def __init__(
        self,
        *,
        writes: Grouped,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        leases: Leases,
        scopes: Collection[str],
        clock: Clock,
    ) -> None:
        """`scopes`: those that this server asks for."""
        self._writes = writes
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._leases = leases
        self._scopes = frozenset(scopes)
        self._clock = clock

    async def succeeded(self, reading: Reading, user: TikTokUser) -> Synced:
        """The picture is fetched first: nothing is asked for within a transaction."""
        viewer, before, now = reading.viewer, reading.account, self._clock()
        picture = await self._avatars.fetch(before, user)

        async def write(session: Session) -> Synced:
            current = await accounts.get(session, viewer.id, before.id, lock=True)
            values = {**readings.columns(user, current, now), **self._avatars.store(session, current, picture)}
            account = accounts.amend(session, current, **values, **self._well(current, now))
            snapshots.add_many(session, [snapshots.of_account(account, now)])
            details = readings.changed_counters(before, account)
            self._audit.record(session, viewer, AuditAction.ACCOUNT_SYNCED, account_id=account.id, details=details)
            self._publish(session, account)
            return Synced(account=account, synced_at=now)

        return await self._end(reading, write)

    async def failed(self, reading: Reading, error: UserMistake, details: Iterable[Detail] = ()) -> Synced:
        """Only a refused authorization changes the status: every other failure passes."""
        viewer, before, now = reading.viewer, reading.account, self._clock()
        why = [Detail(name="reason", value=error.code), *details]

        async def write(session: Session) -> Synced:
            current = await accounts.get(session, viewer.id, before.id, lock=True)
            if current.connected_at == before.connected_at:  # or else the failure is of an earlier connection
                values = {**health.failed(current, error, now), "last_error": error.message, "updated_at": now}
                accounts.amend(session, current, **values)
                self._publish(session, current)
            self._audit.record(session, viewer, AuditAction.ACCOUNT_SYNC_FAILED, account_id=current.id, details=why)
            return Synced(account=current, error=error)

        return await self._end(reading, write)

    async def unread(self, reading: Reading) -> Synced:
        """Somebody else's reading will do."""

        async def write(session: Session) -> Synced:
            del session
            return Synced(account=reading.account, synced_at=reading.account.last_synced_at)

        return await self._end(reading, write)

    async def given_up(self, reading: Reading) -> None:
        """Nothing was tried."""

        async def end(session: Session) -> None:
            self._leases.end(session, reading.lease)

        await self._writes.alone(end)

    async def _end(self, reading: Reading, write: Callable[[Session], Awaitable[Synced]]) -> Synced:
        """In the background together with others, for nobody waits."""

        async def end(session: Session) -> Synced:
            synced = await write(session)
            self._leases.end(session, reading.lease)
            if reading.background is not None:
                await reading.background.also(session, synced)
            return synced

        if reading.background is None:
            return await self._writes.alone(end)
        return await self._writes.run(reading.account.id, end)

    def _well(self, account: Account, now: datetime) -> dict[str, Any]:
        """Nothing, if TikTok ended the authorization after the reading: then its tokens are erased."""
        if account.status is AccountStatus.INACTIVE:
            return {}
        missing = bool(self._scopes.difference(account.granted_scopes))
        return {**health.worked(account, now, scopes_missing=missing), "last_error": None}

    def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        self._notifications.publish(session, account.viewer_id, event)
