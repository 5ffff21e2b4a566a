"""Reading accounts from TikTok, each once at a time: in this process and, by a lease on its row, in all of them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthReason
from tiktok_accounts_gql.errors import OperationError, ReauthorizationRequired
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.lines import FOR_USERS
from tiktok_accounts_gql.services.scopes import read_granted
from tiktok_accounts_gql.services.slots import BY_ITSELF, CallPolicy, Turn
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.endings import Background, Reading, Synced, SyncEndings, outcome_since
from tiktok_accounts_gql.services.sync.leases import Lease, LeaseLost, Leases
from tiktok_accounts_gql.services.sync.retries import wait_for_tiktok
from tiktok_accounts_gql.services.sync.tiktok_gateway import AccountReader
from tiktok_accounts_gql.services.tiktok_failures import user_mistake
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, NotAsked, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.values import TikTokUser

POLL_SECONDS = 0.2
CLOCKS_DIFFER = timedelta(seconds=5)  # between two servers, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a sync in the background did before it took the account. All that may take long: others may want to read it.

    `turn`: None if there was nothing to ask TikTok. `failure`: why no access token could be had. `refused`: the access token
    that TikTok refused, so that another one was obtained.
    """

    turn: Turn | None = None
    failure: TikTokError | OperationError | None = None
    refused: str | None = None


class NotPrepared(Exception):
    """The preparation does not hold any more: prepare again. `refused`: an access token that TikTok refused."""

    def __init__(self, *, refused: str | None = None) -> None:
        super().__init__()
        self.refused = refused


class SyncService:
    """Syncs accounts; callers who ask for the same account at the same time share one reading."""

    def __init__(
        self,
        *,
        db: Database,
        reader: AccountReader,
        tokens: TokenService,
        leases: Leases,
        endings: SyncEndings,
        clock: Clock,
    ) -> None:
        self._db = db
        self._reader = reader
        self._tokens = tokens
        self._leases = leases
        self._endings = endings
        self._clock = clock
        self._syncs: SingleFlight[Synced] = SingleFlight()

    async def sync(self, viewer: Viewer, account_id: UUID, background: Background | None = None) -> Synced:
        """Raises NotFound, and NotAsked in the background; every other failure is told by the answer and the account."""
        if background is None:
            return await self._shared(viewer, account_id)
        refused = None
        while True:
            preparation = await self._prepare(viewer, account_id, background, refused)
            try:
                return await self._shared(viewer, account_id, background, preparation)
            except NotPrepared as again:
                refused = again.refused or refused

    async def wait_for_tiktok(self, error: NotAsked) -> bool:
        """While TikTok is taken to be down; False if this process is about to end: then others go on."""
        return await self._reader.slots.wait(wait_for_tiktok(error))

    async def settle(self) -> None:
        """Waits for syncs under way."""
        await self._syncs.settle()

    async def _shared(
        self,
        viewer: Viewer,
        account_id: UUID,
        background: Background | None = None,
        preparation: Preparation | None = None,
    ) -> Synced:
        key = (viewer.id, account_id)
        shared = self._syncs.has(key)
        try:
            synced = await self._syncs.run(key, lambda: self._persistently(viewer, account_id, background, preparation))
        except Exception:
            if not shared:
                raise
            return await self._shared(viewer, account_id, background, preparation)  # it may be the leader's alone
        if shared:
            if background is not None and synced.error is not None and not synced.was_asked:
                raise NotAsked(ambiguous=False, retry_after=synced.error.retry_after_seconds)
            await self._endings.shared(viewer, synced, background)
        return synced

    async def _prepare(
        self, viewer: Viewer, account_id: UUID, background: Background, refused: str | None
    ) -> Preparation:
        """A renewal, if one is due, and then the turn: each waits in its own queue, and holds nothing meanwhile."""
        account = await self._get(viewer, account_id)
        if not _may_be_read(account) or self._was_read_since(account, background.asked_at):
            return Preparation()
        try:
            await self._tokens.access_token(viewer, account_id, _policy(account, background), refused=refused)
        except NotAsked:
            raise
        except (TikTokError, ReauthorizationRequired) as failure:
            return Preparation(failure=failure)
        return Preparation(turn=await self._reader.slots.take(BY_ITSELF), refused=refused)

    async def _persistently(
        self, viewer: Viewer, account_id: UUID, background: Background | None, preparation: Preparation | None
    ) -> Synced:
        while True:
            with suppress(LeaseLost):
                return await self._sync(viewer, account_id, background, preparation)

    async def _sync(
        self, viewer: Viewer, account_id: UUID, background: Background | None, preparation: Preparation | None
    ) -> Synced:
        before = await self._get(viewer, account_id) if background is None else None
        while (lease := await self._leases.take(viewer, account_id)) is None:
            before = before or await self._get(viewer, account_id)
            await asyncio.sleep(POLL_SECONDS)
            has_ended = not await self._leases.is_taken(viewer, account_id)
            account = await self._get(viewer, account_id)  # after that: it changes with the end of its reading
            if has_ended and (synced := outcome_since(before, account)):
                await self._endings.shared(viewer, synced, background)
                return synced
        try:
            return await self._read_with(lease, before, background, preparation)
        except BaseException as error:
            releasing = self._leases.release(lease)
            if isinstance(error, NotAsked | NotPrepared):  # whoever tries again would wait for it
                await asyncio.wait([releasing])
            raise

    async def _read_with(
        self, lease: Lease, before: Account | None, background: Background | None, preparation: Preparation | None
    ) -> Synced:
        # Only now: another reading may have ended just before the lease was taken.
        account = await self._get(lease.viewer, lease.account_id)
        reading = Reading(viewer=lease.viewer, account=account, background=background, lease=lease)
        if before is not None and account.last_synced_at != before.last_synced_at:
            return await self._endings.unread(reading)
        if background is not None and self._was_read_since(account, background.asked_at):
            return await self._endings.unread(reading)
        try:
            user = await self._read(reading, preparation)
            user = profile_mapping.of_account(user, open_id=account.open_id, union_id=account.union_id)
        except NotAsked as error:
            if background is None:
                return await self._endings.not_asked(reading, user_mistake(error))
            raise
        except TikTokError as error:
            details = [Detail(name="tiktokLogId", value=error.log_id)] if error.log_id else []
            return await self._endings.failed(reading, user_mistake(error), details)
        except OperationError as error:
            return await self._endings.failed(reading, error)
        return await self._endings.succeeded(reading, user)

    async def _get(self, viewer: Viewer, account_id: UUID) -> Account:
        async with self._db.read() as session:
            return await accounts.get(session, viewer.id, account_id)

    async def _read(self, reading: Reading, preparation: Preparation | None) -> TikTokUser:
        if not _may_be_read(reading.account):
            raise ReauthorizationRequired
        if preparation is not None:
            return await self._read_prepared(reading, preparation)
        return await self._read_for_a_user(reading)

    async def _read_for_a_user(self, reading: Reading) -> TikTokUser:
        """An access token that TikTok refuses is renewed once; then the renewal's own verdict decides.

        If the renewal worked and its token is refused all the same, TikTok contradicts itself: that passes.
        """
        viewer, account, policy = reading.viewer, reading.account, _policy(reading.account, None)
        await self._reader.slots.check()  # or a renewal would be for nothing
        token = await self._tokens.access_token(viewer, account.id, policy)
        try:
            return await self._ask(reading, token)
        except AccessTokenInvalid:
            token = await self._tokens.access_token(viewer, account.id, policy, refused=token)
        try:
            return await self._ask(reading, token)
        except AccessTokenInvalid as error:
            raise UnreadableReply(log_id=error.log_id) from error

    async def _read_prepared(self, reading: Reading, preparation: Preparation) -> TikTokUser:
        """Raises NotPrepared for what a user's sync would wait for here; the second refusal is as in a user's sync."""
        if preparation.failure is not None:
            raise preparation.failure
        token = await self._tokens.fresh_access_token(reading.viewer, reading.account.id)
        if preparation.turn is None or token is None:
            raise NotPrepared
        try:
            return await self._ask(reading, token, preparation.turn)
        except AccessTokenInvalid as error:
            if preparation.refused is None:
                raise NotPrepared(refused=token) from error
            raise UnreadableReply(log_id=error.log_id) from error

    async def _ask(self, reading: Reading, token: str, turn: Turn | None = None) -> TikTokUser:
        async def keep_lease(turn: Turn) -> None:
            await self._leases.keep(reading.lease, wait=turn.left)

        policy = _policy(reading.account, reading.background)
        turns = [] if turn is None else [turn]  # for the first request; each one more takes its own

        async def read(scopes: frozenset[str]) -> TikTokUser:
            own = turns.pop() if turns else await self._take_turn(reading, policy)
            return await self._reader.read(token, scopes, policy=policy, turn=own, before_waiting=keep_lease)

        return await read_granted(read, reading.account.granted_scopes)

    async def _take_turn(self, reading: Reading, policy: CallPolicy) -> Turn | None:
        """A user's, which may take longer than the lease of the account lasts; None in the background."""
        if not policy.is_for_user:
            return None
        async with self._leases.kept(reading.lease, longest=FOR_USERS.total_seconds()):
            return await self._reader.slots.take(policy)

    def _was_read_since(self, account: Account, time: datetime) -> bool:
        """By a reading that cannot be of the future: the clock was ahead then, and it may be an old one."""
        last = account.last_synced_at
        return last is not None and time <= last <= self._clock() + CLOCKS_DIFFER


def _may_be_read(account: Account) -> bool:
    """What is known to be dead is not asked about: only a new connection brings it back.

    Tokens that did not open are tried again: a key that was missing may be there by now.
    """
    return account.status is AccountStatus.ACTIVE or account.health_reason is HealthReason.TOKENS_UNREADABLE


def _policy(account: Account, background: Background | None) -> CallPolicy:
    """Silence about an account that fails already is no news of TikTok."""
    viewer_id = account.viewer_id if background is None else None
    return CallPolicy(viewer_id=viewer_id, counts_silence=account.consecutive_failures == 0)
