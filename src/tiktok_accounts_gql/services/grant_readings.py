"""Reads accounts at TikTok by grants that are not stored yet."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.rate_limiter import CallPolicy
from tiktok_accounts_gql.services.scopes import read_with_accepted_scopes
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, ScopeNotGranted, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.pictures import Picture
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES, TikTokUser, TokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantReading:
    """A grant with the account that was read by it; `user` is None if that failed.

    `earlier_grant_id` is the grant that was stored before the account was read.
    """

    grant: TokenGrant
    granted_scopes: frozenset[str]
    grant_id: UUID
    earlier_grant_id: UUID | None
    failure: TikTokError | None = None
    user: TikTokUser | None = None
    picture: Picture | None = None

    @property
    def is_valid(self) -> bool:
        """Tell whether TikTok accepts the grant; it ends a grant when the user consents again."""
        return not isinstance(self.failure, AccessTokenInvalid)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantReader:
    """Reads accounts by grants."""

    db: Database
    reader: RateLimitedReader
    grants: Grants
    avatars: AvatarService

    async def identify(self, viewer: Viewer, grant: TokenGrant) -> TokenGrant:
        """Return the grant with its `open_id`, which is read if the token reply had none. Raises TikTokError."""
        if grant.open_id:
            return grant
        user = await self._read_user(viewer, grant, self.grants.granted_scopes(grant))
        if not user.open_id:
            raise UnreadableReply
        return replace(grant, open_id=user.open_id)

    async def read(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> GrantReading:
        """Read the account and its picture. A failure of TikTok's is part of what is returned."""
        async with self.db.read() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        earlier_grant_id = None if earlier is None else await self.grants.find_grant_id(earlier)
        scopes = self.grants.granted_scopes(grant, earlier)
        union_id = None if earlier is None else earlier.union_id
        try:
            user = await self._read_user(viewer, grant, scopes)
            user = profile_mapping.verify_account(user, open_id=grant.open_id, union_id=union_id)
        except TikTokError as error:
            if isinstance(error, ScopeNotGranted):
                scopes = scopes.difference(FIELDS_OF_SCOPES)
            return GrantReading(
                grant=grant,
                granted_scopes=scopes,
                grant_id=grant_id,
                earlier_grant_id=earlier_grant_id,
                failure=error,
            )
        return GrantReading(
            grant=grant,
            granted_scopes=scopes.difference(FIELDS_OF_SCOPES) | user.scopes,
            grant_id=grant_id,
            earlier_grant_id=earlier_grant_id,
            user=user,
            picture=await self.avatars.fetch(earlier, user),
        )

    async def _read_user(self, viewer: Viewer, grant: TokenGrant, scopes: Collection[str]) -> TikTokUser:
        read = partial(self.reader.read, grant.access_token, policy=CallPolicy(viewer_id=viewer.id))
        return await read_with_accepted_scopes(read, scopes)
