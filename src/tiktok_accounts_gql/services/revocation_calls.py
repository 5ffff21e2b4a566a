"""Revokes one grant at TikTok, from its row in the outbox.

Revoking one grant may end the next one of the same TikTok user. So each call to TikTok is made under a lease on the row of
the pending revocation: a viewer who connects the account again waits for the lease, or cancels a revocation without one.
The quota slot comes before the lease, so that no lease is held while a slot is awaited.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import accounts, revocations
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import PendingRevocation
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, InvalidGrant
from tiktok_accounts_gql.tiktok.values import TokenGrant


class NotPending(Exception):
    """The account was connected again meanwhile, or another process has claimed the revocation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationCalls:
    """Makes the calls to TikTok. `lease` is longer than a refresh, storing its grant, and a revocation may take."""

    db: Database
    oauth: OAuthCalls
    sealer: Sealer
    storing: DurableWriter
    clock: Clock
    lease: timedelta

    async def revoke(self, revocation: PendingRevocation) -> None:
        """Revoke the grant. TikTok revokes valid access tokens only, so an expired one is refreshed first.

        An access token counts as expired by its stored expiry, or if TikTok refuses it. Raises NotPending, TikTokError,
        SealBroken.
        """
        if revocation.access_token_expires_at > self.clock() or revocation.refresh_token is None:
            try:
                await self._revoke_token(revocation, self._open(revocation, "access_token"))
            except (AccessTokenInvalid, InvalidGrant):
                if revocation.refresh_token is None:
                    raise
            else:
                return
        await self._revoke_token(revocation, await self._refresh(revocation))

    async def _revoke_token(self, revocation: PendingRevocation, access_token: str) -> None:
        slot = await self.oauth.acquire_revoke_slot(BACKGROUND)
        await self._acquire_lease(revocation)
        await self.oauth.revoke(access_token, policy=BACKGROUND, slot=slot)

    async def _refresh(self, revocation: PendingRevocation) -> str:
        """Return a new access token. Its pair is stored before it is used: the refresh token before it is worthless now."""
        refresh_token = self._open(revocation, "refresh_token")
        slot = await self.oauth.acquire_refresh_slot(BACKGROUND)
        await self._acquire_lease(revocation)
        async with self.db.read() as session:
            open_id = await accounts.find_open_id(session, revocation.viewer_id, revocation.account_id)
        grant = await self.oauth.refresh(refresh_token, open_id=open_id, policy=BACKGROUND, slot=slot)
        tokens = {"refresh_token": refresh_token, **to_tokens(grant)}
        values = {
            **seal_tokens(self.sealer, revocation.id, tokens),
            "access_token_expires_at": self.clock() + timedelta(seconds=grant.expires_in),
        }
        store = partial(self._rotate, revocation, values)
        if not await self.storing.store(revocation.id, store, account_id=str(revocation.account_id)):
            raise NotPending
        return grant.access_token

    async def _rotate(self, revocation: PendingRevocation, values: Mapping[str, Any]) -> bool:
        async with self.db.transaction() as session:
            return await revocations.rotate(session, revocation.viewer_id, revocation.id, **values)

    async def _acquire_lease(self, revocation: PendingRevocation) -> None:
        """Raise NotPending if the revocation was canceled, postponed, or claimed by another process."""
        async with self.db.transaction() as session:
            if not await revocations.acquire_lease(session, revocation, seconds=self.lease.total_seconds()):
                raise NotPending

    def _open(self, revocation: PendingRevocation, column: str) -> str:
        return self.sealer.open(getattr(revocation, column), revocations.get_location(revocation.id, column))


def seal_tokens(sealer: Sealer, revocation_id: UUID, tokens: Mapping[str, str]) -> dict[str, bytes]:
    """Seal tokens, by column, for the row of a revocation."""
    return {
        column: sealer.seal(token, revocations.get_location(revocation_id, column)) for column, token in tokens.items()
    }


def to_tokens(grant: TokenGrant) -> dict[str, str]:
    """Return the grant's tokens by column, without a refresh token if it has none."""
    tokens = {"access_token": grant.access_token}
    return tokens if grant.refresh_token is None else {**tokens, "refresh_token": grant.refresh_token}
