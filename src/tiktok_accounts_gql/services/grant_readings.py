"""What TikTok shows of an account to a grant that is not stored yet."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.rate_limiter import CallPolicy
from tiktok_accounts_gql.services.scopes import read_granted
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, ScopeNotGranted, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.pictures import Picture
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES, TikTokUser, TokenGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantReading:
    """What a grant opened: nothing if TikTok did not answer, or with what is of no use.

    `granted`: its scopes. `replaces`: the grant that was stored before the reading.
    """

    grant: TokenGrant
    granted: frozenset[str]
    grant_id: UUID
    replaces: UUID | None
    failure: TikTokError | None = None
    user: TikTokUser | None = None
    picture: Picture | None = None

    @property
    def works(self) -> bool:
        """Unless a later consent has ended the grant."""
        return not isinstance(self.failure, AccessTokenInvalid)


class GrantReader:
    """Reads accounts by grants."""

    def __init__(self, *, db: Database, reader: RateLimitedReader, grants: Grants, avatars: AvatarService) -> None:
        self._db = db
        self._reader = reader
        self._grants = grants
        self._avatars = avatars

    async def identify(self, viewer: Viewer, grant: TokenGrant) -> TokenGrant:
        """Asks for the account whose grant it is, if the token reply did not say. Raises TikTokError."""
        if grant.open_id:
            return grant
        user = await self._ask(viewer, grant, self._grants.granted(grant))
        if not user.open_id:
            raise UnreadableReply
        return replace(grant, open_id=user.open_id)

    async def read(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> GrantReading:
        """A failure of TikTok's is part of what is returned."""
        async with self._db.read() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        replaces = None if earlier is None else await self._grants.grant_id(earlier)
        granted = self._grants.granted(grant, earlier)
        try:
            union_id = None if earlier is None else earlier.union_id
            user = profile_mapping.verify_account(
                await self._ask(viewer, grant, granted), open_id=grant.open_id, union_id=union_id
            )
        except TikTokError as error:
            if isinstance(error, ScopeNotGranted):
                granted = granted.difference(FIELDS_OF_SCOPES)
            return GrantReading(grant=grant, granted=granted, grant_id=grant_id, replaces=replaces, failure=error)
        accepted = granted.difference(FIELDS_OF_SCOPES) | user.scopes
        picture = await self._avatars.fetch(earlier, user)
        return GrantReading(
            grant=grant, granted=accepted, grant_id=grant_id, replaces=replaces, user=user, picture=picture
        )

    async def _ask(self, viewer: Viewer, grant: TokenGrant, scopes: Collection[str]) -> TikTokUser:
        policy = CallPolicy(viewer_id=viewer.id)
        return await read_granted(
            lambda accepted: self._reader.read(grant.access_token, accepted, policy=policy), scopes
        )
