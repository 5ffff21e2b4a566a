"""Asks TikTok whether it still accepts an account's grant, which only TikTok knows."""

from dataclasses import dataclass

from tiktok_accounts_gql.db.models import Account, AuditActor
from tiktok_accounts_gql.errors import ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services.slots import BY_ITSELF
from tiktok_accounts_gql.services.sync.tiktok_gateway import AccountReader
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, NotAsked, ScopeNotGranted


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChecks:
    """Checks grants with the priority of background work."""

    tokens: TokenService
    reader: AccountReader

    async def is_valid(self, account: Account) -> bool:
        """Return False if TikTok refuses both the access token and the refresh token.

        Raises TikTokError if TikTok does not answer, or cannot be asked because the tokens do not open: their key may be
        configured again.
        """
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        try:
            token = await self.tokens.access_token(system, account.id, BY_ITSELF)
            try:
                turn = await self.reader.slots.take(BY_ITSELF)
                await self.reader.read(token, account.granted_scopes, policy=BY_ITSELF, turn=turn)
            except AccessTokenInvalid:
                await self.tokens.access_token(system, account.id, BY_ITSELF, refused=token)
            except ScopeNotGranted:
                return True
        except TokensUnreadable:
            raise NotAsked(ambiguous=False) from None
        except ReauthorizationRequired:
            return False
        return True
