"""All calls to TikTok's token and revoke endpoints, each with a slot of the endpoint's quota."""

import asyncio
from dataclasses import dataclass

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.rate_limiter import CallPolicy, RateLimiter, RequestSlot
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, TikTokError, UnreadableReply, WrongAccount
from tiktok_accounts_gql.tiktok.values import TokenGrant

DATABASE_DOWN_SECONDS = 30.0
DATABASE_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthCalls:
    """TikTok's OAuth endpoints. Every method raises TikTokError; CallDeferred and QuotaExhausted if there is no slot."""

    token_limiter: RateLimiter
    revoke_limiter: RateLimiter
    tiktok: TikTokClient

    async def exchange_code(
        self, *, code: str, redirect_uri: str, code_verifier: str | None, policy: CallPolicy
    ) -> TokenGrant:
        """Exchange an authorization code, also while the circuit is open: a code lives for minutes, and its user waits."""
        slot = await self.token_limiter.acquire(policy, is_probe=True)
        try:
            async with self.token_limiter.circuit_breaker(slot, policy):
                return await self.tiktok.exchange_code(
                    code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
                )
        except UnreadableReply as error:
            return await self._refresh_unreadable(error, None, policy, is_only_copy=True)

    async def acquire_refresh_slot(self, policy: CallPolicy) -> RequestSlot:
        """Wait until a refresh may be sent. Call this before the refresh lease: a slot may be further away than it lasts."""
        slot = await self.token_limiter.acquire(policy)
        await asyncio.sleep(slot.seconds_left)
        return slot

    async def refresh(
        self, refresh_token: str, *, open_id: str | None, policy: CallPolicy, slot: RequestSlot | None = None
    ) -> TokenGrant:
        """Refresh the tokens of `open_id`. Without a slot, or if it expired, take one that is near."""
        if slot is None or slot.is_expired:
            slot = await self.token_limiter.acquire_soon(policy)
        try:
            async with self.token_limiter.circuit_breaker(slot, policy):
                return await self.tiktok.refresh(refresh_token, open_id=open_id)
        except UnreadableReply as error:
            return await self._refresh_unreadable(error, open_id, policy)

    async def acquire_revoke_slot(self, policy: CallPolicy) -> RequestSlot:
        """Acquire a slot before the lease of a revocation, as `acquire_refresh_slot` does."""
        return await self.revoke_limiter.acquire(policy)

    async def revoke(self, access_token: str, *, policy: CallPolicy, slot: RequestSlot | None = None) -> None:
        """Revoke a grant. Without a slot, or if it expired, take one that is near."""
        if slot is None or slot.is_expired:
            slot = await self.revoke_limiter.acquire_soon(policy)
        async with self.revoke_limiter.circuit_breaker(slot, policy):
            await self.tiktok.revoke(access_token)

    async def _refresh_unreadable(
        self, unreadable: UnreadableReply, open_id: str | None, policy: CallPolicy, *, is_only_copy: bool = False
    ) -> TokenGrant:
        """Refresh at once after a reply without a readable access token: it may have brought a new refresh token.

        `is_only_copy`: the refresh token is stored nowhere yet, so wait for a slot as long as a user may. Raises
        UnreadableReply with the refresh token that is still to be stored, and WrongAccount.
        """
        if unreadable.refresh_token is None:
            raise unreadable
        try:
            slot = await (
                self._acquire_persistently(policy) if is_only_copy else self.token_limiter.acquire_soon(policy)
            )
            async with self.token_limiter.circuit_breaker(slot, policy):
                return await self.tiktok.refresh(unreadable.refresh_token.get_secret_value(), open_id=open_id)
        except WrongAccount:
            raise
        except (TikTokError, ServiceUnavailable, TimeoutError) as error:
            newer = error.refresh_token if isinstance(error, UnreadableReply) else None
            unreadable.refresh_token = None if isinstance(error, InvalidGrant) else newer or unreadable.refresh_token
            raise unreadable from error

    async def _acquire_persistently(self, policy: CallPolicy) -> RequestSlot:
        """Acquire a slot although the database may be down for a moment. Raises TimeoutError."""
        async with asyncio.timeout(DATABASE_DOWN_SECONDS) as timeout:
            while True:
                try:
                    slot = await self.token_limiter.acquire(policy, is_probe=True)
                except ServiceUnavailable:
                    await asyncio.sleep(DATABASE_RETRY_SECONDS)
                else:
                    timeout.reschedule(None)
                    return slot
