"""Every reading of an account at TikTok, each by a slot of the endpoint's quota."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from tiktok_accounts_gql.services.lines import IN_BACKGROUND
from tiktok_accounts_gql.services.slots import CallPolicy, Slots, Turn
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.values import TikTokUser

BeforeWaiting = Callable[[Turn], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReader:
    """Reads one account at a time. Raises TikTokError."""

    slots: Slots
    tiktok: TikTokClient

    def stop(self) -> None:
        """Work in the background that waits for its turn, at any endpoint, gives up; what is under way is not touched."""
        self.slots.stopping.set()

    async def read(
        self,
        access_token: str,
        scopes: Collection[str],
        *,
        policy: CallPolicy,
        turn: Turn | None = None,
        before_waiting: BeforeWaiting | None = None,
    ) -> TikTokUser:
        """By its turn. Without one, or if it is over: by the next one of a user's, or by one in the background that is near."""
        if turn is None or turn.is_over:
            turn = await (self.slots.take(policy) if policy.is_for_user else self.slots.take_near(policy))
        if before_waiting is not None:
            await before_waiting(turn)
        async with self.slots.used(turn, policy):
            if turn.slot.wait > IN_BACKGROUND:
                await self.slots.check()  # a good while since the slot was taken
            return await self.tiktok.user_info(access_token, scopes=scopes)
