"""Valid access tokens, for whoever calls TikTok about an account.

TikTok's refresh tokens rotate strictly: the new pair is committed before anybody uses it, and callers in one process
share one refresh.
"""

from datetime import timedelta
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, TokenPair
from tiktok_accounts_gql.errors import ReauthorizationRequired
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant

RENEW_BEFORE = timedelta(minutes=5)


class TokenService:
    """Keeps accounts' tokens sealed, and renews them."""

    def __init__(
        self, *, db: Database, tiktok: TikTokClient, sealer: Sealer, audit: AuditService, clock: Clock
    ) -> None:
        self._db = db
        self._tiktok = tiktok
        self._sealer = sealer
        self._audit = audit
        self._clock = clock
        self._refreshes: SingleFlight[str] = SingleFlight()

    async def access_token(self, viewer: Viewer, account: Account) -> str:
        """Raises ReauthorizationRequired, and TikTokError if a renewal is due and fails for now."""
        if account.token_expires_at is None or account.token_expires_at - self._clock() < RENEW_BEFORE:
            return await self.renewed(viewer, account.id)
        return self._open(await self._stored(viewer, account.id), "access_token")

    async def renewed(self, viewer: Viewer, account_id: UUID) -> str:
        """A new access token. Raises as `access_token` does."""
        return await self._refreshes.run((viewer.id, account_id), lambda: self._renew(viewer, account_id))

    async def save(self, session: Session, account: Account, grant: TokenGrant) -> None:
        """Seals and stores a grant in the caller's transaction."""
        refresh = grant.refresh_token
        access_place, refresh_place = (
            token_pairs.place(account.id, name) for name in ("access_token", "refresh_token")
        )
        await token_pairs.save(
            session,
            account.viewer_id,
            account.id,
            access_token=self._sealer.seal(grant.access_token, access_place),
            refresh_token=None if refresh is None else self._sealer.seal(refresh, refresh_place),
            now=self._clock(),
        )

    async def settle(self) -> None:
        """Waits for renewals under way: a new pair must not be lost on the way to the store."""
        await self._refreshes.settle()

    async def _renew(self, viewer: Viewer, account_id: UUID) -> str:
        pair = await self._stored(viewer, account_id)
        if pair.refresh_token is None:
            raise ReauthorizationRequired
        try:
            grant = await self._tiktok.refresh(self._open(pair, "refresh_token"))
        except InvalidGrant as error:
            return await self._refused(viewer, pair, error)
        except TikTokError as error:
            await self._record_failure(viewer, account_id, error)
            raise
        async with self._db.transaction() as session:
            account = await accounts.change(session, viewer.id, account_id, **self.lifetimes(grant))
            await self.save(session, account, grant)
            await self._audit.record(session, viewer, AuditAction.TOKEN_REFRESHED, account_id=account_id)
        return grant.access_token

    def lifetimes(self, grant: TokenGrant) -> dict[str, object]:
        """The account's columns that a grant changes; what the reply lacks keeps its stored value."""
        now = self._clock()
        values: dict[str, object] = {"token_expires_at": now + timedelta(seconds=grant.expires_in), "updated_at": now}
        if grant.refresh_expires_in is not None:
            values["reauthorize_by"] = now + timedelta(seconds=grant.refresh_expires_in)
        if grant.scopes is not None:
            values["granted_scopes"] = sorted(grant.scopes)
        return values

    async def _refused(self, viewer: Viewer, tried: TokenPair, error: InvalidGrant) -> str:
        """The refresh token is worthless, unless somebody else rotated it meanwhile: then theirs is the valid pair."""
        current = await self._stored(viewer, tried.account_id)
        if current.refresh_token != tried.refresh_token:
            return self._open(current, "access_token")
        await self._record_failure(viewer, tried.account_id, error, status=AccountStatus.EXPIRED)
        raise ReauthorizationRequired

    async def _record_failure(
        self, viewer: Viewer, account_id: UUID, error: TikTokError, **changes: AccountStatus
    ) -> None:
        details = [Detail(name="reason", value=type(error).__name__), Detail(name="tiktokLogId", value=error.log_id)]
        async with self._db.transaction() as session:
            if changes:
                await accounts.change(session, viewer.id, account_id, updated_at=self._clock(), **changes)
            action = AuditAction.TOKEN_REFRESH_FAILED
            await self._audit.record(session, viewer, action, account_id=account_id, details=details)

    async def _stored(self, viewer: Viewer, account_id: UUID) -> TokenPair:
        async with self._db.read() as session:
            pair = await token_pairs.find(session, viewer.id, account_id)
        if pair is None:
            raise ReauthorizationRequired
        return pair

    def _open(self, pair: TokenPair, column: str) -> str:
        return self._sealer.open(getattr(pair, column), token_pairs.place(pair.account_id, column))
