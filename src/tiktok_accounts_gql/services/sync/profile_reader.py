"""Reads one account's profile from TikTok with a valid access token, for a user who waits or for background work."""

from dataclasses import dataclass

from tiktok_accounts_gql.db.models import Account, AccountStatus, HealthReason
from tiktok_accounts_gql.errors import OperationError, ReauthorizationRequired
from tiktok_accounts_gql.services.rate_limit_queues import LONGEST_USER_WAIT
from tiktok_accounts_gql.services.rate_limiter import BACKGROUND, CallPolicy, RequestSlot
from tiktok_accounts_gql.services.scopes import read_with_accepted_scopes
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.leases import SyncLeases
from tiktok_accounts_gql.services.sync.outcomes import SyncAttempt
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.tokens import TokenService
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, CallDeferred, TikTokError, UnreadableReply
from tiktok_accounts_gql.tiktok.values import TikTokUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a background sync did before it acquired the account's lease: all that may take long.

    `slot`: None if there was nothing to request. `failure`: why there is no access token. `refused`: an access token that
    TikTok refused, so that another one was obtained.
    """

    slot: RequestSlot | None = None
    failure: TikTokError | OperationError | None = None
    refused: str | None = None


class PreparationStale(Exception):
    """The preparation does not hold any more: prepare again. `refused`: an access token that TikTok refused."""

    def __init__(self, *, refused: str | None = None) -> None:
        super().__init__()
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileReader:
    """Reads profiles with the tokens that are stored."""

    gateway: RateLimitedReader
    tokens: TokenService
    leases: SyncLeases

    async def prepare(self, viewer: Viewer, account: Account, refused: str | None) -> Preparation:
        """Refresh the access token if necessary, then wait for a slot. Raises CallDeferred.

        Each has a queue of its own, and no lease is held meanwhile, so that a user's sync can overtake.
        """
        policy = CallPolicy(counts_outages=account.consecutive_failures == 0)
        try:
            await self.tokens.get_access_token(viewer, account.id, policy, refused=refused)
        except CallDeferred:
            raise
        except (TikTokError, ReauthorizationRequired) as failure:
            return Preparation(failure=failure)
        return Preparation(slot=await self.gateway.limiter.acquire(BACKGROUND), refused=refused)

    async def read(self, attempt: SyncAttempt, preparation: Preparation | None) -> TikTokUser:
        """Return the profile, of this account for certain. Raises TikTokError, OperationError, LeaseLost, PreparationStale."""
        account = attempt.account
        if not may_be_read(account):
            raise ReauthorizationRequired
        if preparation is None:
            user = await self._read_for_user(attempt)
        else:
            user = await self._read_prepared(attempt, preparation)
        return profile_mapping.verify_account(user, open_id=account.open_id, union_id=account.union_id)

    async def _read_for_user(self, attempt: SyncAttempt) -> TikTokUser:
        """Read the profile; refresh an access token that TikTok refuses, once.

        If TikTok refuses the refresh token too, that decides. If the refresh worked and its access token is refused all the
        same, TikTok contradicts itself: an unreadable reply, which passes.
        """
        viewer, account = attempt.viewer, attempt.account
        policy = _build_policy(attempt)
        await self.gateway.limiter.check_circuit()  # before a refresh that would be wasted
        token = await self.tokens.get_access_token(viewer, account.id, policy)
        try:
            return await self._request(attempt, token)
        except AccessTokenInvalid:
            token = await self.tokens.get_access_token(viewer, account.id, policy, refused=token)
        try:
            return await self._request(attempt, token)
        except AccessTokenInvalid as error:
            raise UnreadableReply(log_id=error.log_id) from error

    async def _read_prepared(self, attempt: SyncAttempt, preparation: Preparation) -> TikTokUser:
        """Read as for a user, but raise PreparationStale for everything that a user's sync would wait for here."""
        if preparation.failure is not None:
            raise preparation.failure
        token = await self.tokens.find_fresh_access_token(attempt.viewer, attempt.account.id)
        if preparation.slot is None or token is None:
            raise PreparationStale
        try:
            return await self._request(attempt, token, preparation.slot)
        except AccessTokenInvalid as error:
            if preparation.refused is None:
                raise PreparationStale(refused=token) from error
            raise UnreadableReply(log_id=error.log_id) from error

    async def _request(self, attempt: SyncAttempt, token: str, slot: RequestSlot | None = None) -> TikTokUser:
        request = _ProfileRequest(
            gateway=self.gateway, leases=self.leases, attempt=attempt, access_token=token, slot=slot
        )
        return await read_with_accepted_scopes(request.send, attempt.account.granted_scopes)


@dataclass(slots=True, kw_only=True)
class _ProfileRequest:
    """A request that may be sent several times, with fewer scopes each. `slot`: for the first one only."""

    gateway: RateLimitedReader
    leases: SyncLeases
    attempt: SyncAttempt
    access_token: str
    slot: RequestSlot | None

    async def send(self, scopes: frozenset[str]) -> TikTokUser:
        """Wait for a slot, make sure that the lease lasts until the reply, and send. Raises TikTokError, LeaseLost."""
        policy, lease = _build_policy(self.attempt), self.attempt.lease
        slot, self.slot = self.slot, None
        if policy.is_for_user:
            async with self.leases.extend_during(lease, longest=LONGEST_USER_WAIT):
                slot = await self.gateway.ensure_slot(policy, slot)
        else:
            slot = await self.gateway.ensure_slot(policy, slot)
        await self.leases.extend(lease, wait=slot.seconds_left)
        return await self.gateway.send(self.access_token, scopes, policy=policy, slot=slot)


def may_be_read(account: Account) -> bool:
    """Whether a request may succeed: an account whose authorization ended has to be connected again.

    Tokens that could not be decrypted are tried again: a key that was missing may be configured by now.
    """
    return account.status is AccountStatus.ACTIVE or account.health_reason is HealthReason.TOKENS_UNREADABLE


def _build_policy(attempt: SyncAttempt) -> CallPolicy:
    """Return the policy of the attempt: no answer about an account that fails already is no sign of an outage."""
    viewer_id = attempt.account.viewer_id if attempt.background is None else None
    return CallPolicy(viewer_id=viewer_id, counts_outages=attempt.account.consecutive_failures == 0)
