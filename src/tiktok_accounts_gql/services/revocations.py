"""Authorizations that were given up here and have to be revoked at TikTok, whenever TikTok answers.

What is owed commits together with the disconnection, with its own copy of the sealed tokens, and is deleted once TikTok
revoked it: no crash and no silence in between loses it. It is due at once, and whoever claims it has two minutes for it.
After a week it is given up.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import accounts, revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, OwedRevocation
from tiktok_accounts_gql.db.revocations import CLAIMED_FOR
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.slots import BY_ITSELF
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, InvalidGrant, NotAsked, TikTokError

RETRY_EVERY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(days=7)

log = structlog.get_logger()


class RevocationService:
    """Owes and settles revocations."""

    def __init__(self, *, db: Database, oauth: OAuthCalls, sealer: Sealer, clock: Clock) -> None:
        self._db = db
        self._oauth = oauth
        self._sealer = sealer
        self._clock = clock
        self._rounds: set[asyncio.Task[None]] = set()

    async def owe(self, session: Session, account: Account) -> OwedRevocation | None:
        """In the transaction that erases the account's tokens; None if there are none to revoke."""
        pair = await token_pairs.find(session, account.viewer_id, account.id)
        if pair is None:
            return None
        now, owed_id = self._clock(), uuid7()
        refresh_token = None if account.status is AccountStatus.EXPIRED else pair.refresh_token  # TikTok refused it
        sealed = {
            column: self._moved(sealed, account, owed_id, column)
            for column, sealed in (("access_token", pair.access_token), ("refresh_token", refresh_token))
            if sealed is not None
        }
        owed = OwedRevocation(
            id=owed_id,
            viewer_id=account.viewer_id,
            account_id=account.id,
            access_token_expires_at=pair.expires_at,
            next_attempt_at=now,
            given_up_at=now + GIVE_UP_AFTER,
            **sealed,
        )
        session.add(owed)
        return owed

    def settle_soon(self) -> None:
        """What is due, beside the caller, who does not wait for it."""
        round_ = asyncio.create_task(self._round())
        self._rounds.add(round_)
        round_.add_done_callback(self._rounds.discard)

    async def close(self) -> None:
        """Waits for what is under way: a rotated pair must not be lost on the way to the store."""
        await asyncio.gather(*self._rounds, return_exceptions=True)

    async def settle_due(self) -> int:
        """Settles what is due, each by one process only; returns how many were tried.

        None stops those behind it. But if TikTok was not asked about one, it is not asked about the others either.
        """
        tried = 0
        while (owed := await self._claim()) is not None:
            tried += 1
            try:
                if not await self.settle(owed):
                    break
            except ServiceUnavailable:
                raise
            except Exception:
                log.exception("revocation not settled", account_id=str(owed.account_id))
        return tried

    async def settle(self, owed: OwedRevocation) -> bool:
        """Revokes it and forgets it; if TikTok does not answer, it stays owed. False if TikTok was not asked."""
        try:
            await self._revoke(owed)
        except (AccessTokenInvalid, InvalidGrant):
            pass  # there is nothing left to revoke
        except TikTokError as error:
            log.warning("revocation owed", account_id=str(owed.account_id), reason=error.message, log_id=error.log_id)
            if self._clock() < owed.given_up_at:
                return not isinstance(error, NotAsked)
        async with self._db.transaction() as session:
            await revocations.settle(session, owed.viewer_id, owed.id)
        return True

    async def _round(self) -> None:
        try:
            await self.settle_due()
        except ServiceUnavailable:
            log.warning("revocations wait for the database")
        except Exception:
            log.exception("unexpected error")

    async def _claim(self) -> OwedRevocation | None:
        now = self._clock()
        async with self._db.transaction() as session:
            return await revocations.claim_due(
                session, now=now, until=now + CLAIMED_FOR, give_up_by=now + GIVE_UP_AFTER
            )

    async def _revoke(self, owed: OwedRevocation) -> None:
        """Only a valid access token can be revoked: one that ran out is renewed first, by our clock or by TikTok's word."""
        if owed.access_token_expires_at > self._clock() or owed.refresh_token is None:
            try:
                await self._oauth.revoke(self._open(owed, "access_token"))
            except (AccessTokenInvalid, InvalidGrant):
                if owed.refresh_token is None:
                    raise
            else:
                return
        await self._oauth.revoke(await self._renewed_token(owed))

    async def _renewed_token(self, owed: OwedRevocation) -> str:
        """A rotated pair is kept before it is used, as everywhere."""
        refresh_token = self._open(owed, "refresh_token")
        turn = await self._oauth.take_refresh_turn(BY_ITSELF)
        async with self._db.read() as session:
            if not await revocations.is_claimed(session, owed):  # the slot was so far away that another process goes on
                raise NotAsked(ambiguous=False)
            open_id = await accounts.find_open_id(session, owed.viewer_id, owed.account_id)
        grant = await self._oauth.refresh(refresh_token, open_id=open_id, policy=BY_ITSELF, turn=turn)
        pair = {"access_token": grant.access_token, "refresh_token": grant.refresh_token or refresh_token}
        sealed = {
            column: self._sealer.seal(token, revocations.place(owed.id, column)) for column, token in pair.items()
        }
        expires_at = self._clock() + timedelta(seconds=grant.expires_in)
        async with self._db.transaction() as session:
            changes = {**sealed, "access_token_expires_at": expires_at}
            await revocations.change(session, owed.viewer_id, owed.id, **changes)
        return grant.access_token

    def _open(self, owed: OwedRevocation, column: str) -> str:
        return self._sealer.open(getattr(owed, column), revocations.place(owed.id, column))

    def _moved(self, sealed: bytes, account: Account, owed_id: UUID, column: str) -> bytes:
        secret = self._sealer.open(sealed, token_pairs.place(account.id, column))
        return self._sealer.seal(secret, revocations.place(owed_id, column))
