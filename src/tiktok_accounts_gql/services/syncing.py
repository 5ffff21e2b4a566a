"""Reading accounts from TikTok, each once at a time: in this process and, by a lease on its row, in all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, snapshots
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, HealthReason
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    ReauthorizationRequired,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
    UserMistake,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health, readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.leases import Lease, LeaseLost, Leases
from tiktok_accounts_gql.services.reading import AccountReader, Turn
from tiktok_accounts_gql.services.tiktok_failures import user_mistake
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, NotAsked, TikTokError, Unavailable
from tiktok_accounts_gql.tiktok.values import TikTokUser

POLL_SECONDS = 0.2
_MISTAKES: dict[HealthReason | None, type[UserMistake]] = {
    HealthReason.RATE_LIMITED: TikTokRateLimited,
    HealthReason.TIKTOK_UNAVAILABLE: TikTokUnavailable,
    HealthReason.SCOPE_MISSING: ScopeMissing,
    HealthReason.APP_MISCONFIGURED: AppMisconfigured,
    HealthReason.TOKEN_EXPIRED: ReauthorizationRequired,
    HealthReason.USER_REVOKED: ReauthorizationRequired,
    HealthReason.ACCOUNT_CLOSED: ReauthorizationRequired,
}


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


class SyncService:
    """Syncs accounts; callers who ask for the same account at the same time share one reading."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        reader: AccountReader,
        tokens: TokenService,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        scopes: Collection[str],
        clock: Clock,
        leases: Leases,
    ) -> None:
        """`scopes`: those that this server asks for."""
        self._db = db
        self._reader = reader
        self._tokens = tokens
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._scopes = frozenset(scopes)
        self._clock = clock
        self._leases = leases
        self._syncs: SingleFlight[Synced] = SingleFlight()

    async def sync(self, viewer: Viewer, account_id: UUID, background: Background | None = None) -> Synced:
        """Raises NotFound, and NotAsked in the background; every other failure is told by the answer and the account."""
        led, turn = False, await self._background_turn(viewer, account_id, background)

        async def lead() -> Synced:
            nonlocal led
            led = True
            return await self._persistently(viewer, account_id, background, turn)

        try:
            synced = await self._syncs.run((viewer.id, account_id), lead)
        except Exception:
            if led:
                raise
            return await self.sync(viewer, account_id, background)  # what went wrong may be the leader's alone
        if background is not None and not led:
            await self._conclude(background, synced)
        return synced

    async def settle(self) -> None:
        """Waits for syncs under way."""
        await self._syncs.settle()

    async def _background_turn(self, viewer: Viewer, account_id: UUID, background: Background | None) -> Turn | None:
        """None if there is nothing to ask TikTok, or if somebody waits: a user's turn is taken when all is prepared."""
        if background is None:
            return None
        account = await self._get(viewer, account_id)
        if account.status is not AccountStatus.ACTIVE or _was_read_since(account, background.asked_at):
            return None
        return await self._reader.background_turn()

    async def _persistently(
        self, viewer: Viewer, account_id: UUID, background: Background | None, turn: Turn | None
    ) -> Synced:
        while True:
            with suppress(LeaseLost):
                return await self._sync(viewer, account_id, background, turn)

    async def _sync(self, viewer: Viewer, account_id: UUID, background: Background | None, turn: Turn | None) -> Synced:
        began = self._clock()
        account = await self._get(viewer, account_id)
        while (lease := await self._leases.take(viewer, account_id)) is None:
            await asyncio.sleep(POLL_SECONDS)
            has_ended = not await self._leases.is_taken(viewer, account_id)
            account = await self._get(viewer, account_id)  # only now: it changes with the end of its reading
            if has_ended and (synced := _outcome_since(account, began)):
                return await self._conclude(background, synced)
        account = await self._get(viewer, account_id)  # somebody else's reading may have ended just before
        reading = _Reading(viewer=viewer, account=account, background=background, turn=turn, lease=lease)
        if _was_read_since(account, began if background is None else background.asked_at):
            return await self._unread(reading)
        return await self._attempt(reading)

    async def _attempt(self, reading: "_Reading") -> Synced:
        try:
            user = await self._read(reading)
        except NotAsked as error:
            if reading.background is None:
                return await self._failed(reading, user_mistake(error))
            await self._give_up(reading)
            raise
        except TikTokError as error:
            details = [Detail(name="tiktokLogId", value=error.log_id)] if error.log_id else []
            return await self._failed(reading, user_mistake(error), details)
        except UserMistake as error:
            return await self._failed(reading, error)
        return await self._succeeded(reading, user)

    async def _get(self, viewer: Viewer, account_id: UUID) -> Account:
        async with self._db.read() as session:
            return await accounts.get(session, viewer.id, account_id)

    async def _unread(self, reading: "_Reading") -> Synced:
        synced = Synced(account=reading.account, synced_at=reading.account.last_synced_at)
        async with self._db.transaction() as session:
            await self._end(session, reading, synced)
        return synced

    async def _conclude(self, background: Background | None, synced: Synced) -> Synced:
        if background is not None:
            async with self._db.transaction() as session:
                await background.also(session, synced)
        return synced

    async def _read(self, reading: "_Reading") -> TikTokUser:
        """An access token that TikTok refuses is renewed once; then the renewal's own verdict decides.

        If the renewal worked and its token is refused all the same, TikTok contradicts itself: that passes.
        """
        viewer, account = reading.viewer, reading.account
        if reading.turn is None or reading.turn.is_over:  # a turn may be the very probe that finds out
            await self._reader.check()
        async with self._reader.noting():
            token = await self._tokens.access_token(viewer, account.id)
        try:
            return await self._ask(reading, token, reading.turn)
        except AccessTokenInvalid:
            async with self._reader.noting():
                token = await self._tokens.renewed(viewer, account.id, refused=token)
        try:
            return await self._ask(reading, token)
        except AccessTokenInvalid as error:
            raise Unavailable(log_id=error.log_id) from error

    async def _ask(self, reading: "_Reading", token: str, turn: Turn | None = None) -> TikTokUser:
        async def hold(turn: Turn) -> None:
            await self._leases.keep(reading.lease, wait=turn.left)

        in_background = reading.background is not None
        scopes = reading.account.granted_scopes
        return await self._reader.read(token, scopes, turn=turn, in_background=in_background, hold=hold)

    async def _succeeded(self, reading: "_Reading", user: TikTokUser) -> Synced:
        viewer, before, now = reading.viewer, reading.account, self._clock()
        picture = await self._avatars.fetch(before, user)
        async with self._db.transaction() as session:
            current = await accounts.get(session, viewer.id, before.id, lock=True)
            values = {**readings.columns(user, current, now), **await self._avatars.store(session, current, picture)}
            values |= self._well(current, now)
            account = await accounts.change(session, viewer.id, before.id, **values)
            await snapshots.add_many(session, [snapshots.of_account(account, now)])
            details = readings.changed_counters(before, account)
            await self._audit.record(
                session, viewer, AuditAction.ACCOUNT_SYNCED, account_id=account.id, details=details
            )
            await self._publish(session, account)
            synced = Synced(account=account, synced_at=now)
            await self._end(session, reading, synced)
        return synced

    def _well(self, account: Account, now: datetime) -> dict[str, Any]:
        """Nothing, if TikTok ended the authorization after the reading: then its tokens are erased."""
        if account.status is AccountStatus.INACTIVE:
            return {}
        missing = bool(self._scopes.difference(account.granted_scopes))
        return {**health.worked(account, now, scopes_missing=missing), "last_error": None}

    async def _failed(self, reading: "_Reading", error: UserMistake, details: Iterable[Detail] = ()) -> Synced:
        """Only a refused authorization changes the status: every other failure passes."""
        viewer, before, now = reading.viewer, reading.account, self._clock()
        async with self._db.transaction() as session:
            current = await accounts.get(session, viewer.id, before.id, lock=True)
            values = {**health.failed(current, error, now), "last_error": error.message, "updated_at": now}
            if current.connected_at != before.connected_at:
                values = {}  # the failure is of an earlier connection
            failed = await accounts.change(session, viewer.id, before.id, **values) if values else current
            if values:
                await self._publish(session, failed)
            reason = Detail(name="reason", value=error.code)
            await self._audit.record(
                session, viewer, AuditAction.ACCOUNT_SYNC_FAILED, account_id=failed.id, details=[reason, *details]
            )
            synced = Synced(account=failed, error=error)
            await self._end(session, reading, synced)
        return synced

    async def _publish(self, session: Session, account: Account) -> None:
        event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
        await self._notifications.publish(session, account.viewer_id, event)

    async def _give_up(self, reading: "_Reading") -> None:
        """Nothing was tried."""
        async with self._db.transaction() as session:
            await self._leases.end(session, reading.lease)

    async def _end(self, session: Session, reading: "_Reading", synced: Synced) -> None:
        await self._leases.end(session, reading.lease)
        if reading.background is not None:
            await reading.background.also(session, synced)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One account's, from its beginning to its end."""

    viewer: Viewer
    account: Account
    background: Background | None
    turn: Turn | None
    lease: Lease


def _was_read_since(account: Account, time: datetime) -> bool:
    return account.last_synced_at is not None and account.last_synced_at >= time


def _outcome_since(account: Account, began: datetime) -> Synced | None:
    """What somebody else's reading, which began earlier, left behind; nothing if it gave up."""
    if _was_read_since(account, began):
        return Synced(account=account, synced_at=account.last_synced_at)
    if account.last_error is None or account.updated_at < began:
        return None
    return Synced(account=account, error=_MISTAKES.get(account.health_reason, SyncFailed)(account.last_error))
