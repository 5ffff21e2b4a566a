"""Valid access tokens, for whoever calls TikTok about an account.

TikTok's refresh tokens rotate strictly: whoever loses a rotated token, or refreshes twice at once, loses the account. So:

1. Callers in one process share one refresh. Across processes the right to refresh is a lease on the row, by the
   database's clock; no transaction is open while TikTok answers. Everybody else waits for the winner's pair.
2. The lease and the attempt commit before the request. A crash later leaves both: the lease runs out, somebody else
   tries, and `attempted_at` tells that the outcome of the last try is unknown.
3. The new pair commits before anybody uses it, in a task that no caller's cancellation reaches, that tries until the
   database takes it, and that the process waits for before it ends.
4. A refused refresh token counts only after the row was read again: somebody else may have rotated it, or hold the next
   pair while the database is away. Whoever never told the outcome of an attempt gets `HOLDER_GRACE` to store it. The token
   before it is kept for one generation, for one more try where an attempt's outcome is unknown.
"""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AuditActor, TokenPair
from tiktok_accounts_gql.errors import NotFound, ReauthorizationRequired, TokensUnreadable
from tiktok_accounts_gql.services.failures import FailureKind, Failures
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.health import Outcome
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.renewals import FailedAttempt, Renewals
from tiktok_accounts_gql.services.slots import BY_ITSELF, CallPolicy, Turn
from tiktok_accounts_gql.services.storing import Storing
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.errors import InvalidGrant, RefreshPending, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.values import TokenGrant

RENEW_BEFORE = timedelta(minutes=5)
LEASE_MARGIN = timedelta(seconds=20)
HOLDER_GRACE = timedelta(seconds=45)
POLL_SECONDS = 0.05
ENDING = timedelta(days=14)
RENEW_ENDING_EVERY = timedelta(hours=1)
ENDING_PAUSE = timedelta(days=1)
ENDING_BATCH = 50

log = structlog.get_logger()


class TokenService:
    """Hands out accounts' access tokens, and renews them first where they are worn."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        grants: Grants,
        renewals: Renewals,
        storing: Storing,
        clock: Clock,
        lease: timedelta,
        failures: Failures,
    ) -> None:
        """`lease`: longer than a call to TikTok may take."""
        self._failures = failures
        self._db = db
        self._oauth = oauth
        self._grants = grants
        self._renewals = renewals
        self._storing = storing
        self._clock = clock
        self._lease = lease
        self._refreshes: SingleFlight[str] = SingleFlight()

    async def access_token(
        self, viewer: Viewer, account_id: UUID, policy: CallPolicy | None = None, *, refused: str | None = None
    ) -> str:
        """Another one than TikTok `refused`. Without a policy it is the viewer who waits.

        Raises ReauthorizationRequired, TikTokError if a renewal fails for now, and ServiceUnavailable while a new pair waits
        for the database.
        """
        policy = policy or CallPolicy(viewer_id=viewer.id)
        pair = await self._grants.get(viewer, account_id)
        current = self._grants.open(pair, "access_token")
        return await self._renewed(viewer, pair, policy) if self._is_worn(pair) or current == refused else current

    async def fresh_access_token(self, viewer: Viewer, account_id: UUID) -> str | None:
        """None if it has to be renewed first. Raises ReauthorizationRequired."""
        pair = await self._grants.get(viewer, account_id)
        return None if self._is_worn(pair) else self._grants.open(pair, "access_token")

    async def settle(self) -> None:
        """Waits for renewals under way: a new pair must not be lost on the way to the store."""
        await self._refreshes.settle()

    async def renew_ending(self) -> int:
        """Renews all authorizations that end soon, whoever's they are; returns how many were tried.

        Each by itself, and each once: one that cannot be renewed stops none behind it.
        """
        now, tried = self._clock(), 0
        last: Account | None = None
        while True:
            async with self._db.read() as session:
                ending = await token_pairs.list_ending(
                    session, before=now + ENDING, issued_before=now - ENDING_PAUSE, after=last, limit=ENDING_BATCH
                )
            for account in ending:
                with self._failures.contained(FailureKind.TOKEN_RENEWAL, account_id=str(account.id)):
                    await self._renew_ending(account)
            tried += len(ending)
            if len(ending) < ENDING_BATCH:
                return tried
            last = ending[-1]

    async def _renew_ending(self, account: Account) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        try:
            await self._renewed(system, await self._grants.get(system, account.id), BY_ITSELF)
        except (ReauthorizationRequired, TikTokError, NotFound) as error:
            log.warning("authorization not renewed", account_id=str(account.id), reason=str(error))

    def _is_worn(self, pair: TokenPair) -> bool:
        lifetime = pair.expires_at - pair.issued_at
        now = max(self._clock(), pair.issued_at)  # or else the clock was ahead when the pair was stored
        return pair.expires_at - now < min(RENEW_BEFORE, lifetime / 10)

    async def _renewed(self, viewer: Viewer, worn: TokenPair, policy: CallPolicy) -> str:
        key = (worn.account_id, worn.grant_id, policy.is_for_user)  # a user stands in no queue of the background's
        return await self._refreshes.run(key, lambda: self._renew_or_wait(viewer, worn, policy))

    async def _renew_or_wait(self, viewer: Viewer, worn: TokenPair, policy: CallPolicy) -> str:
        """Renews if nobody else does; else waits for the other's outcome, and shares it.

        The slot comes before the lease, which is not held for as long as a slot may be away.
        """
        if (stored := await self._storing.join((worn.account_id, worn.grant_id))) is not None:
            return str(stored)
        lease_id, waited, current, turn = uuid4(), False, worn, None
        if worn.refresh_token is not None and await self._is_free(viewer, worn):
            turn = await self._oauth.take_refresh_turn(policy)
            current = await self._grants.get(viewer, worn.account_id)
        deadline = asyncio.get_running_loop().time() + (self._lease + LEASE_MARGIN).total_seconds()
        while current.grant_id == worn.grant_id:
            if (waited and current.lease_id is None) or asyncio.get_running_loop().time() > deadline:
                raise RefreshPending  # as whoever was waited for found, or left it to somebody
            if await self._take_lease(viewer, current, lease_id):
                return await self._renew(viewer, current, lease_id, policy, turn)
            waited = waited or current.lease_until is not None
            await asyncio.sleep(POLL_SECONDS)
            current = await self._grants.get(viewer, worn.account_id)
        return self._grants.open(current, "access_token")

    async def _is_free(self, viewer: Viewer, pair: TokenPair) -> bool:
        """Whether nobody else renews this pair at this moment: a slot would be of no use."""
        if pair.lease_until is None:
            return True
        async with self._db.read() as session:
            return not await token_pairs.has_refresh_lease(session, viewer.id, pair.account_id)

    async def _take_lease(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> bool:
        async with self._db.transaction() as session:
            seconds = self._lease.total_seconds()
            return await token_pairs.acquire_refresh_lease(session, viewer.id, pair, lease_id=lease_id, seconds=seconds)

    async def _renew(
        self, viewer: Viewer, pair: TokenPair, lease_id: UUID, policy: CallPolicy, turn: Turn | None
    ) -> str:
        """`pair` as it was before the lease: its `attempted_at` tells of an earlier try whose outcome is unknown."""
        if pair.refresh_token is None:
            return await self._expire(viewer, pair, lease_id, InvalidGrant())
        try:
            grant = await self._refresh(viewer, pair, "refresh_token", policy, turn)
        except TokensUnreadable as error:
            await self._renewals.record_failure(
                viewer, pair, error, FailedAttempt(lease_id=lease_id, broken=Outcome.TOKENS_UNREADABLE)
            )
            raise
        except InvalidGrant as error:
            return await self._refused(viewer, pair, lease_id, error, policy)
        except TikTokError as error:
            attempted_at = self._clock() if error.ambiguous else pair.attempted_at
            await self._renewals.record_failure(
                viewer, pair, error, FailedAttempt(lease_id=lease_id, attempted_at=attempted_at)
            )
            raise
        return await self._renewals.keep(viewer, pair, grant, lease_id)

    async def _refused(
        self, viewer: Viewer, pair: TokenPair, lease_id: UUID, error: InvalidGrant, policy: CallPolicy
    ) -> str:
        """The refresh token is worthless, unless somebody else rotated it meanwhile: then theirs is the valid pair."""
        current = await self._grants.get(viewer, pair.account_id)
        if current.grant_id != pair.grant_id:
            return self._grants.open(current, "access_token")
        if pair.lease_id is not None:
            await self._leave_to_holder(viewer, pair, lease_id)
        if pair.previous_refresh_token is None or pair.attempted_at is None:
            return await self._expire(viewer, pair, lease_id, error)
        try:
            grant = await self._refresh(viewer, pair, "previous_refresh_token", policy)
        except (InvalidGrant, TokensUnreadable):
            return await self._expire(viewer, pair, lease_id, error)
        except TikTokError as passing:
            outcome = FailedAttempt(lease_id=lease_id, attempted_at=pair.attempted_at)
            await self._renewals.record_failure(viewer, pair, passing, outcome)
            raise
        return await self._renewals.keep(viewer, pair, grant, lease_id)

    async def _leave_to_holder(self, viewer: Viewer, pair: TokenPair, lease_id: UUID) -> None:
        """Whose lease ran out without a word: killed, or with the next pair in hand and no database to store it in."""
        seconds = HOLDER_GRACE.total_seconds()
        async with self._db.transaction() as session:
            await token_pairs.return_refresh_lease(session, viewer.id, pair, lease_id=lease_id, seconds=seconds)
        log.warning("refresh token refused, left to whoever tried before", account_id=str(pair.account_id))
        raise RefreshPending(retry_after=seconds)

    async def _refresh(
        self, viewer: Viewer, pair: TokenPair, column: str, policy: CallPolicy, turn: Turn | None = None
    ) -> TokenGrant:
        """Whose tokens they have to be is read first: nothing comes between a rotation and its commit."""
        async with self._db.read() as session:
            open_id = await accounts.find_open_id(session, viewer.id, pair.account_id)
        token = self._grants.open(pair, column)
        try:
            return await self._oauth.refresh(token, open_id=open_id, policy=policy, turn=turn)
        except UnreadableReply as error:
            if error.refresh_token is not None:
                await self._renewals.keep_refresh_token(viewer, pair, error.refresh_token.get_secret_value())
            raise

    async def _expire(self, viewer: Viewer, pair: TokenPair, lease_id: UUID, error: InvalidGrant) -> str:
        await self._renewals.record_failure(
            viewer, pair, error, FailedAttempt(lease_id=lease_id, broken=Outcome.TOKEN_EXPIRED)
        )
        raise ReauthorizationRequired
