"""Every call to TikTok's token and revoke endpoints, each by a slot of the endpoint's quota."""

import asyncio
from dataclasses import dataclass

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.slots import CallPolicy, Slots, Turn
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, TikTokError, UnreadableReply, WrongAccount
from tiktok_accounts_gql.tiktok.values import TokenGrant

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthCalls:
    """Raises TikTokError; NotAsked and QuotaExhausted if there is no slot."""

    token_slots: Slots
    revoke_slots: Slots
    tiktok: TikTokClient

    async def exchange_code(
        self, *, code: str, redirect_uri: str, code_verifier: str | None, policy: CallPolicy
    ) -> TokenGrant:
        """Also while TikTok is taken to be down: a code lives for minutes and works once, and its user waits."""
        turn = await self.token_slots.take(policy, probes=True)
        try:
            async with self.token_slots.used(turn, policy):
                return await self.tiktok.exchange_code(
                    code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
                )
        except UnreadableReply as error:
            return await self._refresh_at_once(error, None, policy, waits=True)

    async def take_refresh_turn(self, policy: CallPolicy) -> Turn:
        """Waits until it may be used, before the right to refresh is taken: no lease lasts for as long as a slot may be away."""
        turn = await self.token_slots.take(policy)
        await asyncio.sleep(turn.left)
        return turn

    async def refresh(
        self, refresh_token: str, *, open_id: str | None, policy: CallPolicy, turn: Turn | None = None
    ) -> TokenGrant:
        """By its turn. Without one, or if it is over: by one that is near. `open_id`: whose tokens they have to be."""
        if turn is None or turn.is_over:
            turn = await self.token_slots.take_near(policy)
        try:
            async with self.token_slots.used(turn, policy):
                return await self.tiktok.refresh(refresh_token, open_id=open_id)
        except UnreadableReply as error:
            return await self._refresh_at_once(error, open_id, policy)

    async def take_revoke_turn(self, policy: CallPolicy) -> Turn:
        """As `take_refresh_turn`, before the lease of a revocation."""
        return await self.revoke_slots.take(policy)

    async def revoke(self, access_token: str, *, policy: CallPolicy, turn: Turn | None = None) -> None:
        """By its turn. Without one, or if it is over: by one that is near."""
        if turn is None or turn.is_over:
            turn = await self.revoke_slots.take_near(policy)
        async with self.revoke_slots.used(turn, policy):
            await self.tiktok.revoke(access_token)

    async def _refresh_at_once(
        self, unreadable: UnreadableReply, open_id: str | None, policy: CallPolicy, *, waits: bool = False
    ) -> TokenGrant:
        """A reply whose access token cannot be read may still have brought a new refresh token.

        `waits`: for a slot as long as a user may, for nothing can be stored before. Raises UnreadableReply, with the refresh
        token that is left to be stored, and WrongAccount.
        """
        if unreadable.refresh_token is None:
            raise unreadable
        try:
            turn = await (self._take_patiently(policy) if waits else self.token_slots.take_near(policy))
            async with self.token_slots.used(turn, policy):
                return await self.tiktok.refresh(unreadable.refresh_token.get_secret_value(), open_id=open_id)
        except WrongAccount:
            raise
        except (TikTokError, ServiceUnavailable, TimeoutError) as error:
            newer = error.refresh_token if isinstance(error, UnreadableReply) else None
            unreadable.refresh_token = None if isinstance(error, InvalidGrant) else newer or unreadable.refresh_token
            raise unreadable from error

    async def _take_patiently(self, policy: CallPolicy) -> Turn:
        """Also while the database is away for a moment: what is to be used is known to nobody else."""
        async with asyncio.timeout(PATIENCE_SECONDS) as patience:
            while True:
                try:
                    turn = await self.token_slots.take(policy, probes=True)
                except ServiceUnavailable:
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    patience.reschedule(None)
                    return turn
