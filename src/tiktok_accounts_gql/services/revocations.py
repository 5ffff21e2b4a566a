"""Authorizations that were given up here and have to be revoked at TikTok, whenever TikTok answers.

What is owed commits together with the disconnection, with its own copy of the sealed tokens, and is deleted once TikTok
revoked it: no crash and no silence in between loses it. After a week it is given up.

Revoking one grant may end the next one of the same TikTok user. So nothing is owed once the account is connected again, and
whoever connects it waits for a revocation that is being carried out: a lease on its row tells.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, OwedRevocation, TokenPair
from tiktok_accounts_gql.errors import ServiceUnavailable, TokensUnreadable
from tiktok_accounts_gql.services.storing import Storing
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant

RETRY_EVERY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(days=7)
BATCH = 20
POLL_SECONDS = 0.1

log = structlog.get_logger()


class RevocationService:
    """Owes and settles revocations."""

    def __init__(
        self, *, db: Database, tiktok: TikTokClient, sealer: Sealer, storing: Storing, clock: Clock, lease: timedelta
    ) -> None:
        """`lease`: longer than a refresh, the storing of what it brought and a revocation may take."""
        self._db = db
        self._tiktok = tiktok
        self._sealer = sealer
        self._storing = storing
        self._clock = clock
        self._seconds = lease.total_seconds()

    async def owe(self, session: Session, account: Account) -> OwedRevocation | None:
        """In the transaction that erases the account's tokens; None if there are none to revoke.

        Raises TokensUnreadable if there are some, and neither of them opens.
        """
        pair = await token_pairs.find(session, account.viewer_id, account.id)
        if pair is None:
            return None
        tokens = self._opened(pair)
        if not tokens:
            raise TokensUnreadable
        expires_at = pair.expires_at if "access_token" in tokens else self._clock()  # an access token then comes first
        return await self._owe(session, account.viewer_id, account.id, tokens, expires_at)

    async def revoke(self, viewer: Viewer, account_id: UUID, grant: TokenGrant) -> None:
        """A grant that came for an account that was disconnected meanwhile."""
        async with self._db.transaction() as session:
            expires_at = self._clock() + timedelta(seconds=grant.expires_in)
            owed = await self._owe(session, viewer.id, account_id, _tokens(grant), expires_at)
        with suppress(ServiceUnavailable):  # it is owed
            await self.settle(owed)

    async def settle(self, owed: OwedRevocation) -> None:
        """Revokes it and forgets it; if TikTok does not answer, it stays owed.

        Nothing happens if it is not owed any more: the account was connected again.
        """
        async with self._db.transaction() as session:
            if not await revocations.lease(session, owed, seconds=self._seconds):
                return
        try:
            if (token := await self._valid_token(owed)) is None:
                return
            await self._tiktok.revoke(token)
        except (AccessTokenInvalid, InvalidGrant):
            pass  # there is nothing left to revoke
        except (TikTokError, SealBroken) as error:
            log_id = getattr(error, "log_id", None)
            log.warning("revocation owed", account_id=str(owed.account_id), reason=str(error), log_id=log_id)
            if self._clock() < owed.given_up_at:
                async with self._db.transaction() as session:
                    await revocations.release(session, owed.viewer_id, owed.id)
                return
        async with self._db.transaction() as session:
            await revocations.settle(session, owed.viewer_id, owed.id)

    async def settle_due(self) -> int:
        """Settles what is due, each by one process only; returns how many were tried."""
        now = self._clock()
        async with self._db.transaction() as session:
            due = await revocations.claim_due(session, now=now, until=now + RETRY_EVERY, limit=BATCH)
        for owed in due:
            await self.settle(owed)
        return len(due)

    async def postpone(self, viewer: Viewer) -> None:
        """Waits for revocations of the viewer's that are being carried out, and begins none for a while."""
        while True:
            async with self._db.transaction() as session:
                if await revocations.postpone(session, viewer.id, until=self._clock() + RETRY_EVERY):
                    return
            await asyncio.sleep(POLL_SECONDS)

    async def cancel(self, open_id: str) -> None:
        """For a TikTok account that is connected again; waits for one that is being carried out."""
        while True:
            async with self._db.transaction() as session:
                if await revocations.cancel(session, open_id):
                    return
            await asyncio.sleep(POLL_SECONDS)

    async def _owe(
        self, session: Session, viewer_id: str, account_id: UUID, tokens: Mapping[str, str], expires_at: datetime
    ) -> OwedRevocation:
        owed_id, now = uuid7(), self._clock()
        sealed = self._sealed(owed_id, {"access_token": "", **tokens})
        owed = OwedRevocation(
            id=owed_id,
            viewer_id=viewer_id,
            account_id=account_id,
            access_token_expires_at=expires_at,
            next_attempt_at=now + RETRY_EVERY,
            given_up_at=now + GIVE_UP_AFTER,
            access_token=sealed["access_token"],
            refresh_token=sealed.get("refresh_token"),
        )
        await revocations.add(session, owed)
        return owed

    async def _valid_token(self, owed: OwedRevocation) -> str | None:
        """Only a valid access token can be revoked; None if it is not owed any more.

        A rotated pair is stored before it is used, as everywhere; if the database is away, it is used all the same: that
        ends it.
        """
        if owed.access_token_expires_at > self._clock() or owed.refresh_token is None:
            return self._sealer.open(owed.access_token, revocations.place(owed.id, "access_token"))
        refresh_token = self._sealer.open(owed.refresh_token, revocations.place(owed.id, "refresh_token"))
        grant = await self._tiktok.refresh(refresh_token)
        values = self._sealed(owed.id, {"refresh_token": refresh_token, **_tokens(grant)})
        expires_at = self._clock() + timedelta(seconds=grant.expires_in)

        async def rotate() -> bool:
            async with self._db.transaction() as session:
                changes = {**values, "access_token_expires_at": expires_at}
                return await revocations.rotate(session, owed.viewer_id, owed.id, seconds=self._seconds, **changes)

        try:
            is_owed = await self._storing.store(owed.id, rotate, account_id=str(owed.account_id))
        except ServiceUnavailable:
            is_owed = True
        return grant.access_token if is_owed else None

    def _opened(self, pair: TokenPair) -> dict[str, str]:
        """Those of the tokens that open."""
        found = {}
        for column in ("access_token", "refresh_token"):
            if (sealed := getattr(pair, column)) is not None:
                try:
                    found[column] = self._sealer.open(sealed, token_pairs.place(pair.account_id, column))
                except SealBroken as error:
                    log.warning("tokens unreadable", account_id=str(pair.account_id), column=column, reason=str(error))
        return found

    def _sealed(self, owed_id: UUID, tokens: Mapping[str, str]) -> dict[str, bytes]:
        return {name: self._sealer.seal(token, revocations.place(owed_id, name)) for name, token in tokens.items()}


def _tokens(grant: TokenGrant) -> dict[str, str]:
    refresh = {} if grant.refresh_token is None else {"refresh_token": grant.refresh_token}
    return {"access_token": grant.access_token, **refresh}
