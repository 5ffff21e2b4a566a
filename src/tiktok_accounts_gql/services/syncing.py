"""Reading one account from TikTok now."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, snapshots
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction
from tiktok_accounts_gql.errors import UserMistake
from tiktok_accounts_gql.services import health, readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.tiktok_failures import user_mistake
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, TikTokError, Unavailable
from tiktok_accounts_gql.tiktok.values import TikTokUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The account as it is now; `error` says why it was not read."""

    account: Account
    synced_at: datetime | None = None
    error: UserMistake | None = None


class SyncService:
    """Syncs accounts; callers who ask for the same account at the same time share one reading."""

    def __init__(
        self,
        *,
        db: Database,
        tiktok: TikTokClient,
        tokens: TokenService,
        audit: AuditService,
        avatars: AvatarService,
        scopes: Collection[str],
        clock: Clock,
    ) -> None:
        """`scopes`: those that this server asks for."""
        self._db = db
        self._tiktok = tiktok
        self._tokens = tokens
        self._audit = audit
        self._avatars = avatars
        self._scopes = frozenset(scopes)
        self._clock = clock
        self._syncs: SingleFlight[Synced] = SingleFlight()

    async def sync(self, viewer: Viewer, account_id: UUID) -> Synced:
        """Raises NotFound; every other failure is told by the answer and by the account."""
        return await self._syncs.run((viewer.id, account_id), lambda: self._sync(viewer, account_id))

    async def settle(self) -> None:
        """Waits for syncs under way."""
        await self._syncs.settle()

    async def _sync(self, viewer: Viewer, account_id: UUID) -> Synced:
        async with self._db.read() as session:
            account = await accounts.get(session, viewer.id, account_id)
        try:
            user = await self._read(viewer, account)
        except TikTokError as error:
            details = [Detail(name="tiktokLogId", value=error.log_id)] if error.log_id else []
            return await self._failed(viewer, account, user_mistake(error), details)
        except UserMistake as error:
            return await self._failed(viewer, account, error)
        return await self._succeeded(viewer, account, user)

    async def _read(self, viewer: Viewer, account: Account) -> TikTokUser:
        """An access token that TikTok refuses is renewed once; then the renewal's own verdict decides.

        If the renewal worked and its token is refused all the same, TikTok contradicts itself: that passes.
        """
        token = await self._tokens.access_token(viewer, account.id)
        try:
            return await self._tiktok.user_info(token, scopes=account.granted_scopes)
        except AccessTokenInvalid:
            token = await self._tokens.renewed(viewer, account.id, refused=token)
        try:
            return await self._tiktok.user_info(token, scopes=account.granted_scopes)
        except AccessTokenInvalid as error:
            raise Unavailable(log_id=error.log_id) from error

    async def _succeeded(self, viewer: Viewer, before: Account, user: TikTokUser) -> Synced:
        now = self._clock()
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
        return Synced(account=account, synced_at=now)

    def _well(self, account: Account, now: datetime) -> dict[str, Any]:
        """Nothing, if TikTok ended the authorization after the reading: then its tokens are erased."""
        if account.status is AccountStatus.INACTIVE:
            return {}
        missing = bool(self._scopes.difference(account.granted_scopes))
        return {**health.worked(account, now, scopes_missing=missing), "last_error": None}

    async def _failed(
        self, viewer: Viewer, account: Account, error: UserMistake, details: Iterable[Detail] = ()
    ) -> Synced:
        """Only a refused authorization changes the status: every other failure passes."""
        now = self._clock()
        async with self._db.transaction() as session:
            current = await accounts.get(session, viewer.id, account.id, lock=True)
            values = {**health.failed(current, error, now), "last_error": error.message, "updated_at": now}
            if current.connected_at != account.connected_at:
                values = {}  # the failure is of an earlier connection
            failed = await accounts.change(session, viewer.id, account.id, **values) if values else current
            reason = Detail(name="reason", value=error.code)
            await self._audit.record(
                session,
                viewer,
                AuditAction.ACCOUNT_SYNC_FAILED,
                account_id=account.id,
                details=[reason, *details],
            )
        return Synced(account=failed, error=error)
