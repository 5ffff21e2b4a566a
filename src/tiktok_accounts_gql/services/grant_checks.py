"""Asks TikTok whether it still accepts an account's grant, which only TikTok knows."""

from dataclasses import dataclass

from tiktok_accounts_gql.db.models import Account, AuditActor
from tiktok_accounts_gql.errors import ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, CallDeferred, ScopeNotGranted


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChecks:
    """Checks grants with the priority of background work."""

    tokens: TokenService
    reader: RateLimitedReader

    async def is_valid(self, account: Account) -> bool:
        """Return False if TikTok refuses both the access token and the refresh token.

        Raises TikTokError if TikTok does not answer, or cannot be asked because the tokens do not open: their key may be
        configured again.
        """
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        try:
            token = await self.tokens.get_access_token(system, account.id, BACKGROUND)
            try:
                slot = await self.reader.limiter.acquire(BACKGROUND)
                await self.reader.read(token, account.granted_scopes, policy=BACKGROUND, slot=slot)
            except AccessTokenInvalid:
                await self.tokens.get_access_token(system, account.id, BACKGROUND, refused=token)
            except ScopeNotGranted:
                return True
        except TokensUnreadable:
            raise CallDeferred(ambiguous=False) from None
        except ReauthorizationRequired:
            return False
        return True
