"""Whether TikTok still honours what an account was granted: only TikTok knows."""

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
    """Asks in the background lane."""

    tokens: TokenService
    reader: AccountReader

    async def is_honoured(self, account: Account) -> bool:
        """False if TikTok refuses the access token and the refresh token. Raises TikTokError if it does not say.

        Tokens that do not open can ask nothing; their key may come back.
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
