"""All requests for an account's profile at TikTok, each with a slot of the endpoint's quota."""

from collections.abc import Collection
from dataclasses import dataclass

from tiktok_accounts_gql.services.rate_limit_queues import BACKGROUND_LEAD
from tiktok_accounts_gql.services.rate_limiter import CallPolicy, RateLimiter, RequestSlot
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.values import TikTokUser


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitedReader:
    """Reads profiles from TikTok, one request at a time."""

    limiter: RateLimiter
    tiktok: TikTokClient

    def stop(self) -> None:
        """Make background work stop waiting for slots, at any endpoint; requests that were sent are not touched."""
        self.limiter.stopping.set()

    async def read(
        self, access_token: str, scopes: Collection[str], *, policy: CallPolicy, slot: RequestSlot | None = None
    ) -> TikTokUser:
        """Request the profile with a slot, or with one that `ensure_slot` acquires. Raises TikTokError."""
        return await self.send(access_token, scopes, policy=policy, slot=await self.ensure_slot(policy, slot))

    async def ensure_slot(self, policy: CallPolicy, slot: RequestSlot | None = None) -> RequestSlot:
        """Return the slot; if there is none or it expired, the next one for a user, a near one for background work."""
        if slot is not None and not slot.is_expired:
            return slot
        return await (self.limiter.acquire(policy) if policy.is_for_user else self.limiter.acquire_soon(policy))

    async def send(
        self, access_token: str, scopes: Collection[str], *, policy: CallPolicy, slot: RequestSlot
    ) -> TikTokUser:
        """Send one request when its slot comes. Raises TikTokError."""
        async with self.limiter.circuit_breaker(slot, policy):
            if slot.wait > BACKGROUND_LEAD:
                await self.limiter.check_circuit()  # it may have opened since the slot was acquired
            return await self.tiktok.user_info(access_token, scopes=scopes)
