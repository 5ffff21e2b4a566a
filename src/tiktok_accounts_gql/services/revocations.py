"""The outbox of revocations: grants that were given up here and have to be revoked at TikTok.

A pending revocation commits together with the disconnection, with its own copy of the sealed tokens, and is deleted once
TikTok has revoked it. So neither a crash nor an outage loses it. It is due at once; the process that claims it has
`CLAIM_DURATION` for it, and what fails is tried again with growing pauses until it is given up after a week.

A pending revocation is canceled when the account is connected again: `revocation_calls.py` tells why.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import revocations, token_pairs
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, PendingRevocation, TokenPair
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.db.revocations import CLAIM_DURATION, MAX_RETRY_DELAY
from tiktok_accounts_gql.errors import TokensUnreadable
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.revocation_calls import NotPending, RevocationCalls, seal_tokens, to_tokens
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, CallDeferred, InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.values import TokenGrant

RETRY_EVERY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(days=7)
POLL_SECONDS = 0.1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationService:
    """Enqueues pending revocations, and processes them in the background."""

    db: Database
    calls: RevocationCalls
    sealer: Sealer
    failures: FailureLog
    clock: Clock
    tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def enqueue(self, session: Session, account: Account) -> bool:
        """Enqueue the account's grant in the transaction that erases it; False if there is none.

        Raises TokensUnreadable if neither of its tokens opens.
        """
        pair = await token_pairs.find(session, account.viewer_id, account.id)
        if pair is None:
            return False
        tokens = self._open_tokens(pair)
        if not tokens:
            raise TokensUnreadable
        if account.status is AccountStatus.EXPIRED:
            tokens.pop("refresh_token", None)  # TikTok refused it
        # Without an access token that opens, one has to come from a refresh first.
        expires_at = pair.expires_at if "access_token" in tokens else self.clock()
        await self._add(session, account.viewer_id, account.id, tokens, expires_at)
        return True

    async def enqueue_grant(self, viewer: Viewer, account_id: UUID, grant: TokenGrant) -> None:
        """Enqueue a grant that arrived for an account that was disconnected meanwhile, and process it soon."""
        async with self.db.transaction() as session:
            expires_at = self.clock() + timedelta(seconds=grant.expires_in)
            await self._add(session, viewer.id, account_id, to_tokens(grant), expires_at)
        self.process_soon()

    def process_soon(self) -> None:
        """Process what is due in a task of its own; the caller does not wait for it."""
        task = asyncio.create_task(self._process_due_contained())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self) -> None:
        """Wait for the tasks of `process_soon`: a rotated pair must not be lost before it is stored."""
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def process_due(self) -> int:
        """Process what is due, each by one process only, and return how many were tried.

        A claim sets the time of the next attempt, so that a revocation that fails waits behind the others. But if TikTok
        could not be asked about one, the others wait too. Raises ServiceUnavailable if nothing can be claimed.
        """
        count = 0
        while (revocation := await self._claim()) is not None:
            count += 1
            if not await self._process_contained(revocation):
                break
        return count

    async def process(self, revocation: PendingRevocation) -> bool:
        """Revoke the grant and delete the row; if TikTok does not answer, the row stays for a later attempt.

        Nothing happens if the account was connected again. Returns False if TikTok could not be asked.
        """
        try:
            await self.calls.revoke(revocation)
        except NotPending:
            return True
        except (AccessTokenInvalid, InvalidGrant):
            pass  # the grant has ended already
        except TikTokError as error:
            account_id = str(revocation.account_id)
            log.warning("revocation pending", account_id=account_id, reason=error.message, log_id=error.log_id)
            if self.clock() < revocation.given_up_at:
                was_asked = not isinstance(error, CallDeferred)
                await self._reschedule(revocation, has_failed=was_asked)
                return was_asked
        await self._delete(revocation)
        return True

    async def postpone(self, viewer: Viewer) -> None:
        """Wait until no revocation of the viewer's is in progress; none starts for `RETRY_EVERY`."""
        while True:
            async with self.db.transaction() as session:
                if await revocations.postpone(session, viewer.id, until=self.clock() + RETRY_EVERY):
                    return
            await asyncio.sleep(POLL_SECONDS)

    async def cancel(self, open_id: str) -> None:
        """Delete the pending revocations of a TikTok account that is connected again; wait for one in progress."""
        while True:
            async with self.db.transaction() as session:
                if await revocations.cancel(session, open_id):
                    return
            await asyncio.sleep(POLL_SECONDS)

    async def _process_due_contained(self) -> None:
        with self.failures.suppress(FailureKind.ROUND):
            await self.process_due()

    @retry_on_deadlock
    async def _claim(self) -> PendingRevocation | None:
        now = self.clock()
        async with self.db.transaction() as session:
            return await revocations.claim_due(
                session, now=now, until=now + CLAIM_DURATION, latest_give_up=now + GIVE_UP_AFTER
            )

    async def _process_contained(self, revocation: PendingRevocation) -> bool:
        """Process one as `process` does; an unexpected failure is recorded, and tried again later or given up."""
        ids = {"account_id": str(revocation.account_id), "revocation_id": str(revocation.id)}
        with self.failures.suppress(FailureKind.REVOCATION, **ids):
            return await self.process(revocation)
        with self.failures.suppress(FailureKind.REVOCATION, **ids):
            if self.clock() < revocation.given_up_at:
                await self._reschedule(revocation)
            else:
                await self._delete(revocation)
                log.error("revocation given up", **ids)
        return True

    @retry_on_deadlock
    async def _reschedule(self, revocation: PendingRevocation, *, has_failed: bool = True) -> None:
        """Set the next attempt after half of the row's age, within bounds; after the shortest pause if it has not failed."""
        now = self.clock()
        age = now - (revocation.given_up_at - GIVE_UP_AFTER) if has_failed else RETRY_EVERY
        next_attempt_at = now + min(max(age / 2, RETRY_EVERY), MAX_RETRY_DELAY)
        async with self.db.transaction() as session:
            await revocations.reschedule(session, revocation.viewer_id, revocation.id, next_attempt_at=next_attempt_at)

    async def _delete(self, revocation: PendingRevocation) -> None:
        async with self.db.transaction() as session:
            await revocations.remove(session, revocation.viewer_id, revocation.id)

    async def _add(
        self, session: Session, viewer_id: str, account_id: UUID, tokens: Mapping[str, str], expires_at: datetime
    ) -> None:
        revocation_id, now = uuid7(), self.clock()
        sealed = seal_tokens(self.sealer, revocation_id, {"access_token": "", **tokens})
        revocation = PendingRevocation(
            id=revocation_id,
            viewer_id=viewer_id,
            account_id=account_id,
            access_token_expires_at=expires_at,
            next_attempt_at=now,
            given_up_at=now + GIVE_UP_AFTER,
            access_token=sealed["access_token"],
            refresh_token=sealed.get("refresh_token"),
        )
        await revocations.enqueue(session, revocation)

    def _open_tokens(self, pair: TokenPair) -> dict[str, str]:
        """Return the tokens that open, by column; log the others."""
        tokens = {}
        for column in ("access_token", "refresh_token"):
            if (sealed := getattr(pair, column)) is not None:
                try:
                    tokens[column] = self.sealer.open(sealed, token_pairs.get_location(pair.account_id, column))
                except SealBroken as error:
                    log.warning("tokens unreadable", account_id=str(pair.account_id), column=column, reason=str(error))
        return tokens
