"""Stored grants: each account's sealed pair of tokens."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.errors import ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services.scopes import scope_columns
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, TokenGrant

log = structlog.get_logger()


class GrantConflict(Exception):
    """Another grant was stored, or is being revoked, and only TikTok knows which of the two is the later one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """Stores, rotates and opens grants. `scopes` are those that this server requests."""

    db: Database
    sealer: Sealer
    scopes: Collection[str]
    clock: Clock

    async def get(self, viewer: Viewer, account_id: UUID) -> TokenPair:
        """Return the account's pair. Raises ReauthorizationRequired if it has none."""
        async with self.db.read() as session:
            pair = await token_pairs.find(session, viewer.id, account_id)
        if pair is None:
            raise ReauthorizationRequired
        return pair

    async def find_grant_id(self, account: Account) -> UUID | None:
        """Return the id of the account's stored grant, if it has one."""
        async with self.db.read() as session:
            pair = await token_pairs.find(session, account.viewer_id, account.id)
        return None if pair is None else pair.grant_id

    async def store(
        self, session: Session, account: Account, grant: TokenGrant, *, grant_id: UUID, expected_grant_id: UUID | None
    ) -> None:
        """Store the grant of a new connection, in a transaction of the caller's that has locked the account.

        This is a compare-and-set: `expected_grant_id` is the id that was stored when the grant was last seen to work. A
        grant without a refresh token keeps the stored one. Raises GrantConflict, also while an earlier grant of the account
        is being revoked: this one may end with it.
        """
        if not await revocations.cancel(session, grant.open_id):
            raise GrantConflict
        stored = await token_pairs.find(session, account.viewer_id, account.id)
        if stored is not None and stored.grant_id != expected_grant_id:
            raise GrantConflict
        refresh_token = grant.refresh_token and self._seal(account.id, "refresh_token", grant.refresh_token)
        now = self.clock()
        await token_pairs.replace(
            session,
            TokenPair(
                account_id=account.id,
                viewer_id=account.viewer_id,
                access_token=self._seal(account.id, "access_token", grant.access_token),
                refresh_token=refresh_token or (stored.refresh_token if stored else None),
                grant_id=grant_id,
                issued_at=now,
                expires_at=now + timedelta(seconds=grant.expires_in),
            ),
        )

    async def rotate(self, session: Session, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> bool:
        """Store the grant that a refresh of this pair returned; False if the pair is no longer the stored one."""
        tokens = {"access_token": self._seal(pair.account_id, "access_token", grant.access_token)}
        if grant.refresh_token is not None:
            tokens |= self._seal_rotated(pair, grant.refresh_token)
        now = self.clock()
        times = {"issued_at": now, "expires_at": now + timedelta(seconds=grant.expires_in)}
        return await token_pairs.rotate(session, viewer.id, pair.account_id, grant_id=pair.grant_id, **tokens, **times)

    async def rotate_refresh_token(self, session: Session, viewer: Viewer, pair: TokenPair, refresh_token: str) -> bool:
        """Store the refresh token of a reply that had no access token, as `rotate` does, for the next refresh."""
        tokens = self._seal_rotated(pair, refresh_token)
        return await token_pairs.rotate(session, viewer.id, pair.account_id, grant_id=pair.grant_id, **tokens)

    def granted_scopes(self, grant: TokenGrant, account: Account | None = None) -> frozenset[str]:
        """Return the grant's scopes; for a reply without any, those stored, or else those that were requested."""
        if grant.scopes is not None:
            return grant.scopes
        return frozenset(account.granted_scopes if account and BASIC_SCOPE in account.granted_scopes else self.scopes)

    def has_missing_scopes(self, granted_scopes: Collection[str]) -> bool:
        return not set(self.scopes).issubset(granted_scopes)

    def expiry_columns(self, grant: TokenGrant) -> dict[str, object]:
        """Return the account's columns for the grant's expiries; what the reply lacks keeps its stored value."""
        now = self.clock()
        values: dict[str, object] = {"token_expires_at": now + timedelta(seconds=grant.expires_in), "updated_at": now}
        if grant.refresh_expires_in is not None:
            values["reauthorize_by"] = now + timedelta(seconds=grant.refresh_expires_in)
        return values

    def refresh_columns(self, account: Account, grant: TokenGrant) -> dict[str, Any]:
        """Return the account's columns that a refresh changes; what the reply lacks keeps its stored value."""
        granted_scopes = account.granted_scopes if grant.scopes is None else grant.scopes
        return {**self.expiry_columns(grant), **scope_columns(account, granted_scopes, self.scopes, self.clock())}

    def open(self, pair: TokenPair, column: str) -> str:
        """Decrypt one of the pair's tokens. Raises TokensUnreadable."""
        try:
            return self.sealer.open(getattr(pair, column), token_pairs.get_location(pair.account_id, column))
        except SealBroken as error:
            log.warning("tokens unreadable", account_id=str(pair.account_id), column=column, reason=str(error))
            raise TokensUnreadable from error

    def _seal_rotated(self, pair: TokenPair, refresh_token: str) -> dict[str, bytes]:
        """Seal the next refresh token, and the one before it in its column for one more try. Raises TokensUnreadable."""
        previous = self.open(pair, "refresh_token")
        return {
            "refresh_token": self._seal(pair.account_id, "refresh_token", refresh_token),
            "previous_refresh_token": self._seal(pair.account_id, "previous_refresh_token", previous),
        }

    def _seal(self, account_id: UUID, column: str, token: str) -> bytes:
        return self.sealer.seal(token, token_pairs.get_location(account_id, column))
