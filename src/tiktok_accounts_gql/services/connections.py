"""Connecting accounts: from an authorization code to a stored account."""

from dataclasses import dataclass
from typing import Any

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, snapshots
from tiktok_accounts_gql.db.accounts import Taken
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction
from tiktok_accounts_gql.errors import AuthorizationCodeInvalid, ConnectedElsewhere
from tiktok_accounts_gql.services import readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.tiktok_failures import user_mistake
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.values import TikTokUser, TokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    account: Account
    reconnected: bool


class ConnectionService:
    """Obtains the owner's grant, and stores what it opens."""

    def __init__(
        self, *, db: Database, tiktok: TikTokClient, tokens: TokenService, audit: AuditService, clock: Clock
    ) -> None:
        self._db = db
        self._tiktok = tiktok
        self._tokens = tokens
        self._audit = audit
        self._clock = clock

    async def connect(self, viewer: Viewer, *, code: str, redirect_uri: str) -> Connected:
        """Exchanges the code, reads the account and stores it; one that was connected before comes back as it was.

        An account that cannot be read for now is connected all the same: its first sync will read it.
        Raises AuthorizationCodeInvalid, ConnectedElsewhere, TikTokRateLimited, TikTokUnavailable, AppMisconfigured.
        """
        grant = await self._exchange(code, redirect_uri)
        user = await self._read(grant)
        try:
            return await self._store(viewer, grant, user)
        except Taken:
            if not await self._is_mine(viewer, grant.open_id):
                raise ConnectedElsewhere from None
        return await self._store(viewer, grant, user)  # the same viewer connected it at the same moment

    async def _exchange(self, code: str, redirect_uri: str) -> TokenGrant:
        try:
            return await self._tiktok.exchange_code(code=code, redirect_uri=redirect_uri)
        except InvalidGrant:
            raise AuthorizationCodeInvalid from None
        except TikTokError as error:
            raise user_mistake(error) from error

    async def _read(self, grant: TokenGrant) -> TikTokUser | None:
        try:
            return await self._tiktok.user_info(grant.access_token, scopes=grant.scopes or ())
        except TikTokError:
            return None

    async def _is_mine(self, viewer: Viewer, open_id: str) -> bool:
        """Now, that is: the viewer may have left it, and another one may have connected it since."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, open_id)
        return account is not None and account.disconnected_at is None

    async def _store(self, viewer: Viewer, grant: TokenGrant, user: TikTokUser | None) -> Connected:
        async with self._db.transaction() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
            values = self._columns(grant, user, earlier)
            if earlier is None:
                account = await accounts.add(session, viewer.id, open_id=grant.open_id, **values)
            else:
                account = await accounts.reconnect(session, viewer.id, earlier.id, **values)
            await self._tokens.save(session, account, grant)
            if user is not None:
                await snapshots.add_many(session, [snapshots.of_account(account, values["last_synced_at"])])
            await self._record(session, viewer, account, reconnected=earlier is not None)
        return Connected(account=account, reconnected=earlier is not None)

    def _columns(self, grant: TokenGrant, user: TikTokUser | None, earlier: Account | None) -> dict[str, Any]:
        now = self._clock()
        names = {} if earlier else accounts.names(None, readings.placeholder(grant.open_id))
        read = readings.columns(user, earlier, now) if user else names
        granted = {"granted_scopes": sorted(grant.scopes or ()), "status": AccountStatus.ACTIVE, "last_error": None}
        return {**read, **self._tokens.lifetimes(grant), **granted, "connected_at": now}

    async def _record(self, session: Session, viewer: Viewer, account: Account, *, reconnected: bool) -> None:
        action = AuditAction.ACCOUNT_RECONNECTED if reconnected else AuditAction.ACCOUNT_CONNECTED
        scopes = Detail(name="grantedScopes", value=",".join(account.granted_scopes))
        await self._audit.record(session, viewer, action, account_id=account.id, details=[scopes])
