"""Authorizations that were given up here and have to be revoked at TikTok, whenever TikTok answers.

What is owed commits together with the disconnection, with its own copy of the sealed tokens, and is deleted once TikTok
revoked it: no crash and no silence in between loses it. It is due at once, and whoever claims it has two minutes for it.
After a week it is given up.

Revoking one grant may end the next one of the same TikTok user. So nothing is owed once the account is connected again, and
whoever connects it waits for a revocation that is being carried out: a lease on its row tells. The lease is taken when the
slot for the call is there, so that nobody waits for a slot.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import accounts, revocations, token_pairs
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, OwedRevocation, TokenPair
from tiktok_accounts_gql.db.revocations import CLAIMED_FOR, LONGEST_RETRY
from tiktok_accounts_gql.errors import TokensUnreadable
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, CallDeferred, InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant

RETRY_EVERY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(days=7)
POLL_SECONDS = 0.1

log = structlog.get_logger()


class NotOwed(Exception):
    """The account was connected again meanwhile, or another process has claimed the revocation."""


class RevocationService:
    """Owes and settles revocations."""

    def __init__(
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        sealer: Sealer,
        storing: DurableWriter,
        failures: FailureLog,
        clock: Clock,
        lease: timedelta,
    ) -> None:
        """`lease`: longer than a refresh, the storing of what it brought and a revocation may take."""
        self._db = db
        self._failures = failures
        self._oauth = oauth
        self._sealer = sealer
        self._storing = storing
        self._clock = clock
        self._seconds = lease.total_seconds()
        self._rounds: set[asyncio.Task[None]] = set()

    async def owe(self, session: Session, account: Account) -> bool:
        """In the transaction that erases the account's tokens; False if there are none to revoke.

        Raises TokensUnreadable if there are some, and neither of them opens.
        """
        pair = await token_pairs.find(session, account.viewer_id, account.id)
        if pair is None:
            return False
        tokens = self._opened(pair)
        if not tokens:
            raise TokensUnreadable
        if account.status is AccountStatus.EXPIRED:
            tokens.pop("refresh_token", None)  # TikTok refused it
        expires_at = pair.expires_at if "access_token" in tokens else self._clock()  # an access token then comes first
        await self._owe(session, account.viewer_id, account.id, tokens, expires_at)
        return True

    async def revoke(self, viewer: Viewer, account_id: UUID, grant: TokenGrant) -> None:
        """A grant that came for an account that was disconnected meanwhile: owed, and settled beside the caller."""
        async with self._db.transaction() as session:
            expires_at = self._clock() + timedelta(seconds=grant.expires_in)
            await self._owe(session, viewer.id, account_id, _tokens(grant), expires_at)
        self.settle_soon()

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

        A claim sets the next attempt: what is broken waits behind the others. But if TikTok was not asked about one, it is
        not asked about the others either. Raises ServiceUnavailable if nothing can be claimed.
        """
        tried = 0
        while (owed := await self._claim()) is not None:
            tried += 1
            if not await self._settle_by_itself(owed):
                break
        return tried

    async def settle(self, owed: OwedRevocation) -> bool:
        """Revokes it and forgets it; if TikTok does not answer, it stays owed. False if TikTok was not asked.

        Nothing happens if it is not owed any more: the account was connected again.
        """
        try:
            await self._carry_out(owed)
        except NotOwed:
            return True
        except (AccessTokenInvalid, InvalidGrant):
            pass  # there is nothing left to revoke
        except TikTokError as error:
            log.warning("revocation owed", account_id=str(owed.account_id), reason=error.message, log_id=error.log_id)
            if self._clock() < owed.given_up_at:
                was_asked = not isinstance(error, CallDeferred)
                await self._postpone(owed, has_failed=was_asked)
                return was_asked
        async with self._db.transaction() as session:
            await revocations.settle(session, owed.viewer_id, owed.id)
        return True

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

    async def _round(self) -> None:
        with self._failures.suppress(FailureKind.ROUND):
            await self.settle_due()

    @again_if_undone
    async def _claim(self) -> OwedRevocation | None:
        now = self._clock()
        async with self._db.transaction() as session:
            return await revocations.claim_due(
                session, now=now, until=now + CLAIMED_FOR, give_up_by=now + GIVE_UP_AFTER
            )

    async def _settle_by_itself(self, owed: OwedRevocation) -> bool:
        """Whatever fails unexpectedly is logged, counted, and tried again later, or given up."""
        ids = {"account_id": str(owed.account_id), "revocation_id": str(owed.id)}
        with self._failures.suppress(FailureKind.REVOCATION, **ids):
            return await self.settle(owed)
        with self._failures.suppress(FailureKind.REVOCATION, **ids):
            if self._clock() < owed.given_up_at:
                await self._postpone(owed)
            else:
                async with self._db.transaction() as session:
                    await revocations.settle(session, owed.viewer_id, owed.id)
                log.error("revocation given up", **ids)
        return True

    @again_if_undone
    async def _postpone(self, owed: OwedRevocation, *, has_failed: bool = True) -> None:
        """By half as long again as it is owed already, from a minute to some hours; by a minute if TikTok was not asked."""
        now = self._clock()
        owed_for = now - (owed.given_up_at - GIVE_UP_AFTER) if has_failed else RETRY_EVERY
        later = now + min(max(owed_for / 2, RETRY_EVERY), LONGEST_RETRY)
        async with self._db.transaction() as session:
            await revocations.release(session, owed.viewer_id, owed.id, next_attempt_at=later)

    async def _owe(
        self, session: Session, viewer_id: str, account_id: UUID, tokens: Mapping[str, str], expires_at: datetime
    ) -> None:
        owed_id, now = uuid7(), self._clock()
        sealed = self._sealed(owed_id, {"access_token": "", **tokens})
        owed = OwedRevocation(
            id=owed_id,
            viewer_id=viewer_id,
            account_id=account_id,
            access_token_expires_at=expires_at,
            next_attempt_at=now,
            given_up_at=now + GIVE_UP_AFTER,
            access_token=sealed["access_token"],
            refresh_token=sealed.get("refresh_token"),
        )
        await revocations.add(session, owed)

    async def _carry_out(self, owed: OwedRevocation) -> None:
        """Only a valid access token can be revoked: one that ran out is renewed first, by our clock or by TikTok's word.

        Raises NotOwed, TikTokError, SealBroken.
        """
        if owed.access_token_expires_at > self._clock() or owed.refresh_token is None:
            try:
                await self._revoke(owed, self._open(owed, "access_token"))
            except (AccessTokenInvalid, InvalidGrant):
                if owed.refresh_token is None:
                    raise
            else:
                return
        await self._revoke(owed, await self._refresh(owed))

    async def _revoke(self, owed: OwedRevocation, access_token: str) -> None:
        slot = await self._oauth.acquire_revoke_slot(BACKGROUND)
        await self._lease(owed)
        await self._oauth.revoke(access_token, policy=BACKGROUND, slot=slot)

    async def _refresh(self, owed: OwedRevocation) -> str:
        """A rotated pair is stored before it is used, as everywhere."""
        refresh_token = self._open(owed, "refresh_token")
        slot = await self._oauth.acquire_refresh_slot(BACKGROUND)
        await self._lease(owed)
        async with self._db.read() as session:
            open_id = await accounts.find_open_id(session, owed.viewer_id, owed.account_id)
        grant = await self._oauth.refresh(refresh_token, open_id=open_id, policy=BACKGROUND, slot=slot)
        values = self._sealed(owed.id, {"refresh_token": refresh_token, **_tokens(grant)})
        expires_at = self._clock() + timedelta(seconds=grant.expires_in)

        async def rotate() -> bool:
            async with self._db.transaction() as session:
                changes = {**values, "access_token_expires_at": expires_at}
                return await revocations.rotate(session, owed.viewer_id, owed.id, **changes)

        if not await self._storing.store(owed.id, rotate, account_id=str(owed.account_id)):
            raise NotOwed
        return grant.access_token

    async def _lease(self, owed: OwedRevocation) -> None:
        """Raises NotOwed."""
        async with self._db.transaction() as session:
            if not await revocations.lease(session, owed, seconds=self._seconds):
                raise NotOwed

    def _open(self, owed: OwedRevocation, column: str) -> str:
        return self._sealer.open(getattr(owed, column), revocations.place(owed.id, column))

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
