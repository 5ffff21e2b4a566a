"""Reading accounts from TikTok, each once at a time: in this process and, by a lease on its row, in all of them."""

import asyncio
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthReason
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    ReauthorizationRequired,
    ScopeMissing,
    SyncFailed,
    TikTokRateLimited,
    TikTokUnavailable,
    UserMistake,
)
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.leases import LeaseLost, Leases
from tiktok_accounts_gql.services.reading import AccountReader, Turn
from tiktok_accounts_gql.services.retries import wait_for_tiktok
from tiktok_accounts_gql.services.sync_endings import Background, Reading, Synced, SyncEndings
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


class SyncService:
    """Syncs accounts; callers who ask for the same account at the same time share one reading."""

    def __init__(
        self,
        *,
        db: Database,
        reader: AccountReader,
        tokens: TokenService,
        leases: Leases,
        endings: SyncEndings,
        clock: Clock,
    ) -> None:
        self._db = db
        self._reader = reader
        self._tokens = tokens
        self._leases = leases
        self._endings = endings
        self._clock = clock
        self._syncs: SingleFlight[Synced] = SingleFlight()

    async def sync(self, viewer: Viewer, account_id: UUID, background: Background | None = None) -> Synced:
        """Raises NotFound, and NotAsked in the background; every other failure is told by the answer and the account."""
        turn = await self._background_turn(viewer, account_id, background)
        key = (viewer.id, account_id)
        shared = self._syncs.has(key)
        try:
            synced = await self._syncs.run(key, lambda: self._persistently(viewer, account_id, background, turn))
        except Exception:
            if not shared:
                raise
            return await self.sync(viewer, account_id, background)  # what went wrong may be the leader's alone
        if shared:
            await self._endings.shared(viewer, synced, background)
        return synced

    async def wait_for_tiktok(self, error: NotAsked) -> bool:
        """While TikTok is taken to be down; False if this process is about to end: then others go on."""
        return await self._reader.wait(wait_for_tiktok(error))

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
        while (lease := await self._leases.take(viewer, account_id)) is None:
            await asyncio.sleep(POLL_SECONDS)
            has_ended = not await self._leases.is_taken(viewer, account_id)
            account = await self._get(viewer, account_id)  # after that: it changes with the end of its reading
            if has_ended and (synced := _outcome_since(account, began)):
                await self._endings.shared(viewer, synced, background)
                return synced
        account = await self._get(viewer, account_id)  # only now: somebody else's reading may have ended just before
        reading = Reading(viewer=viewer, account=account, background=background, turn=turn, lease=lease)
        if _was_read_since(account, began if background is None else background.asked_at):
            return await self._endings.unread(reading)
        return await self._attempt(reading)

    async def _attempt(self, reading: Reading) -> Synced:
        try:
            user = await self._read(reading)
        except NotAsked as error:
            if reading.background is None:
                return await self._endings.failed(reading, user_mistake(error))
            await self._endings.given_up(reading)
            raise
        except TikTokError as error:
            details = [Detail(name="tiktokLogId", value=error.log_id)] if error.log_id else []
            return await self._endings.failed(reading, user_mistake(error), details)
        except UserMistake as error:
            return await self._endings.failed(reading, error)
        return await self._endings.succeeded(reading, user)

    async def _get(self, viewer: Viewer, account_id: UUID) -> Account:
        async with self._db.read() as session:
            return await accounts.get(session, viewer.id, account_id)

    async def _read(self, reading: Reading) -> TikTokUser:
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

    async def _ask(self, reading: Reading, token: str, turn: Turn | None = None) -> TikTokUser:
        async def hold(turn: Turn) -> None:
            await self._leases.keep(reading.lease, wait=turn.left)

        in_background = reading.background is not None
        scopes = reading.account.granted_scopes
        return await self._reader.read(token, scopes, turn=turn, in_background=in_background, hold=hold)


def _was_read_since(account: Account, time: datetime) -> bool:
    return account.last_synced_at is not None and account.last_synced_at >= time


def _outcome_since(account: Account, began: datetime) -> Synced | None:
    """What somebody else's reading, which began earlier, left behind; nothing if it gave up."""
    if _was_read_since(account, began):
        return Synced(account=account, synced_at=account.last_synced_at)
    if account.last_error is None or account.updated_at < began:
        return None
    return Synced(account=account, error=_MISTAKES.get(account.health_reason, SyncFailed)(account.last_error))
