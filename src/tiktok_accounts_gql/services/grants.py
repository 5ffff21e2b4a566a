"""Grants at rest: sealed pairs of tokens, and which of them is the account's."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.errors import ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services import scopes as scope_rules
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, TokenGrant

log = structlog.get_logger()


class Overtaken(Exception):
    """Another grant was stored meanwhile, and only TikTok knows which of the two is the later."""


class Grants:
    """Stores, rotates and opens them."""

    def __init__(self, *, db: Database, sealer: Sealer, scopes: Collection[str], clock: Clock) -> None:
        """`scopes`: those that this server asks for."""
        self._db = db
        self._scopes = frozenset(scopes)
        self._sealer = sealer
        self._clock = clock

    async def get(self, viewer: Viewer, account_id: UUID) -> TokenPair:
        """Raises ReauthorizationRequired: an account without a grant has to be connected again."""
        async with self._db.read() as session:
            pair = await token_pairs.find(session, viewer.id, account_id)
        if pair is None:
            raise ReauthorizationRequired
        return pair

    async def grant_id(self, account: Account) -> UUID | None:
        """Which grant is stored for the account, if any."""
        async with self._db.read() as session:
            pair = await token_pairs.find(session, account.viewer_id, account.id)
        return None if pair is None else pair.grant_id

    async def store(
        self, session: Session, account: Account, grant: TokenGrant, *, grant_id: UUID, replaces: UUID | None
    ) -> None:
        """Seals the grant of a new connection, in the caller's transaction, which has locked the account.

        `replaces`: the `grant_id` that was stored when the grant was last seen to work. Without a refresh token it
        keeps the stored one. Raises Overtaken, too if somebody is just about to revoke an earlier grant: this one may end
        with it.
        """
        if not await revocations.cancel(session, grant.open_id):
            raise Overtaken
        stored = await token_pairs.find(session, account.viewer_id, account.id)
        if stored is not None and stored.grant_id != replaces:
            raise Overtaken
        refresh = grant.refresh_token and self._sealed(account.id, "refresh_token", grant.refresh_token)
        await token_pairs.replace(
            session,
            TokenPair(
                account_id=account.id,
                viewer_id=account.viewer_id,
                access_token=self._sealed(account.id, "access_token", grant.access_token),
                refresh_token=refresh or (stored.refresh_token if stored else None),
                grant_id=grant_id,
                issued_at=self._clock(),
                expires_at=self._clock() + timedelta(seconds=grant.expires_in),
            ),
        )

    async def rotate(self, session: Session, viewer: Viewer, pair: TokenPair, grant: TokenGrant) -> bool:
        """Stores the grant that a renewal of this pair brought; False if the pair is not the stored one any more."""
        values = {"access_token": self._sealed(pair.account_id, "access_token", grant.access_token)}
        if grant.refresh_token is not None:
            values |= self._next_refresh_token(pair, grant.refresh_token)
        now = self._clock()
        lives = {"issued_at": now, "expires_at": now + timedelta(seconds=grant.expires_in)}
        return await token_pairs.rotate(session, viewer.id, pair.account_id, grant_id=pair.grant_id, **values, **lives)

    async def keep_refresh_token(self, session: Session, viewer: Viewer, pair: TokenPair, refresh_token: str) -> bool:
        """Stores what a renewal brought without an access token: the worn one is renewed by it. As `rotate` answers."""
        values = self._next_refresh_token(pair, refresh_token)
        return await token_pairs.rotate(session, viewer.id, pair.account_id, grant_id=pair.grant_id, **values)

    def _next_refresh_token(self, pair: TokenPair, refresh_token: str) -> dict[str, bytes]:
        old = self.open(pair, "refresh_token")
        return {
            "refresh_token": self._sealed(pair.account_id, "refresh_token", refresh_token),
            "previous_refresh_token": self._sealed(pair.account_id, "previous_refresh_token", old),
        }

    def granted(self, grant: TokenGrant, earlier: Account | None = None) -> frozenset[str]:
        """The scopes of a grant.

        A reply that names no scope says nothing new: what is stored holds, or else what was asked for.
        """
        stored = earlier.granted_scopes if earlier and BASIC_SCOPE in earlier.granted_scopes else self._scopes
        return frozenset(stored) if grant.scopes is None else grant.scopes

    def are_scopes_missing(self, granted: Collection[str]) -> bool:
        return bool(self._scopes.difference(granted))

    def lifetimes(self, grant: TokenGrant) -> dict[str, object]:
        """The account's columns that tell how long a grant lives; what the reply lacks keeps its stored value."""
        now = self._clock()
        values: dict[str, object] = {"token_expires_at": now + timedelta(seconds=grant.expires_in), "updated_at": now}
        if grant.refresh_expires_in is not None:
            values["reauthorize_by"] = now + timedelta(seconds=grant.refresh_expires_in)
        return values

    def changes(self, account: Account, grant: TokenGrant) -> dict[str, object]:
        """The account's columns that a renewal changes; what the reply lacks keeps its stored value."""
        scopes = account.granted_scopes if grant.scopes is None else grant.scopes
        return {**self.lifetimes(grant), **scope_rules.changes(account, scopes, self._scopes, self._clock())}

    def open(self, pair: TokenPair, column: str) -> str:
        """One of the pair's tokens, in clear. Raises TokensUnreadable."""
        try:
            return self._sealer.open(getattr(pair, column), token_pairs.get_location(pair.account_id, column))
        except SealBroken as error:
            log.warning("tokens unreadable", account_id=str(pair.account_id), column=column, reason=str(error))
            raise TokensUnreadable from error

    def _sealed(self, account_id: UUID, column: str, token: str) -> bytes:
        return self._sealer.seal(token, token_pairs.get_location(account_id, column))
