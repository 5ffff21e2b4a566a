"""Authorizations that were given up here and have to be revoked at TikTok, whenever TikTok answers.

What is owed commits together with the disconnection, with its own copy of the sealed tokens, and is deleted once TikTok
revoked it: no crash and no silence in between loses it. After a week it is given up.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, OwedRevocation
from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, InvalidGrant, TikTokError

RETRY_EVERY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)
GIVE_UP_AFTER = timedelta(days=7)
BATCH = 20

log = structlog.get_logger()


class RevocationService:
    """Owes and settles revocations."""

    def __init__(self, *, db: Database, tiktok: TikTokClient, sealer: Sealer, clock: Clock, failures: Failures) -> None:
        self._db = db
        self._failures = failures
        self._tiktok = tiktok
        self._sealer = sealer
        self._clock = clock

    async def owe(self, session: Session, account: Account) -> OwedRevocation | None:
        """In the transaction that erases the account's tokens; None if there are none to revoke."""
        pair = await token_pairs.find(session, account.viewer_id, account.id)
        if pair is None:
            return None
        now, owed_id = self._clock(), uuid7()
        sealed = {
            column: self._moved(sealed, account, owed_id, column)
            for column, sealed in (("access_token", pair.access_token), ("refresh_token", pair.refresh_token))
            if sealed is not None
        }
        owed = OwedRevocation(
            id=owed_id,
            viewer_id=account.viewer_id,
            account_id=account.id,
            access_token_expires_at=pair.expires_at,
            next_attempt_at=now + RETRY_EVERY,
            given_up_at=now + GIVE_UP_AFTER,
            **sealed,
        )
        session.add(owed)
        return owed

    async def settle(self, owed: OwedRevocation) -> None:
        """Revokes it and forgets it; if TikTok does not answer, it stays owed."""
        try:
            await self._tiktok.revoke(await self._valid_token(owed))
        except (AccessTokenInvalid, InvalidGrant):
            pass  # there is nothing left to revoke
        except TikTokError as error:
            log.warning("revocation owed", account_id=str(owed.account_id), reason=error.message, log_id=error.log_id)
            if self._clock() < owed.given_up_at:
                return
        async with self._db.transaction() as session:
            await revocations.settle(session, owed.viewer_id, owed.id)

    async def settle_due(self) -> int:
        """Settles all that is due, each by one process only; returns how many were tried.

        A claim sets the next attempt, later each time: what is broken waits behind the others, whatever happens here.
        """
        now, tried = self._clock(), 0
        while True:
            async with self._db.transaction() as session:
                due = await revocations.claim_due(session, now=now, next_attempt_at=self._next_attempt_at, limit=BATCH)
            for owed in due:
                await self._settle_by_itself(owed)
            tried += len(due)
            if len(due) < BATCH:
                return tried

    def _next_attempt_at(self, owed: OwedRevocation) -> datetime:
        """After half as long again as it is owed already: from a minute to some hours."""
        now = self._clock()
        owed_for = now - (owed.given_up_at - GIVE_UP_AFTER)
        return now + min(max(owed_for / 2, RETRY_EVERY), LONGEST_RETRY)

    async def _settle_by_itself(self, owed: OwedRevocation) -> None:
        ids = {"account_id": str(owed.account_id), "revocation_id": str(owed.id)}
        with self._failures.contained(FailureKind.REVOCATION, **ids):
            await self.settle(owed)
            return
        if self._clock() >= owed.given_up_at:
            with self._failures.contained(FailureKind.REVOCATION, **ids):
                async with self._db.transaction() as session:
                    await revocations.settle(session, owed.viewer_id, owed.id)
                log.error("revocation given up", **ids)

    async def _valid_token(self, owed: OwedRevocation) -> str:
        """Only a valid access token can be revoked. A rotated pair is kept before it is used, as everywhere."""
        if owed.access_token_expires_at > self._clock() or owed.refresh_token is None:
            return self._sealer.open(owed.access_token, revocations.place(owed.id, "access_token"))
        refresh_token = self._sealer.open(owed.refresh_token, revocations.place(owed.id, "refresh_token"))
        grant = await self._tiktok.refresh(refresh_token)
        pair = {"access_token": grant.access_token, "refresh_token": grant.refresh_token or refresh_token}
        sealed = {
            column: self._sealer.seal(token, revocations.place(owed.id, column)) for column, token in pair.items()
        }
        expires_at = self._clock() + timedelta(seconds=grant.expires_in)
        async with self._db.transaction() as session:
            changes = {**sealed, "access_token_expires_at": expires_at}
            await revocations.change(session, owed.viewer_id, owed.id, **changes)
        return grant.access_token

    def _moved(self, sealed: bytes, account: Account, owed_id: UUID, column: str) -> bytes:
        secret = self._sealer.open(sealed, token_pairs.place(account.id, column))
        return self._sealer.seal(secret, revocations.place(owed_id, column))
