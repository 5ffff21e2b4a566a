"""The rate limiter and circuit breaker of one endpoint of TikTok, over all processes (`db/quota.py`).

Every request takes one slot of the quota, in one of two lanes, and no caller takes one long before it may be used: slots that
are reserved far ahead would delay all others. A user waits ten seconds at most, and may take a slot a little earlier than
background work does, so that a user never queues behind a batch. Users are served round robin, and a user who takes many slots
shares with background work (`rate_limit_queues.py`). Background work waits for its slot before it acquires the account's
lease, so that the account stays free for a user meanwhile.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from tiktok_accounts_gql.db import quota
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.quota import Endpoint, QuotaSlot, RateLimitPolicy
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.fair_queue import LockTimeout
from tiktok_accounts_gql.services.rate_limit_queues import (
    BACKGROUND_LEAD,
    LONGEST_USER_WAIT,
    BackgroundQueue,
    UserQueue,
    loop_time,
)
from tiktok_accounts_gql.tiktok.errors import CallDeferred, CircuitOpen, QuotaExhausted, TikTokError, Unavailable

NEAR_FOR_USERS = timedelta(seconds=1)
SEND_TOLERANCE = timedelta(seconds=0.5)  # how late a request may use its slot
LARGEST_BURST = 30
PROBE_INTERVAL = timedelta(seconds=10)
RETRY_AFTER_STOP_SECONDS = 1.0
CIRCUIT_WRITE_SECONDS = 1.0  # a database that is down must not delay the tokens that a reply brought


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """How a call is made.

    `viewer_id`: the user who waits for it; None for background work. `counts_outages`: False for an account that fails
    already, for which no answer is no sign that TikTok is down.
    """

    viewer_id: str | None = None
    counts_outages: bool = True

    @property
    def is_for_user(self) -> bool:
        return self.viewer_id is not None


BACKGROUND = CallPolicy()


def build_rate_limit(
    requests_per_minute: int, *, failures: int, probe_interval: timedelta = PROBE_INTERVAL
) -> RateLimitPolicy:
    """Return a policy whose burst and steady pace together keep the quota in any sliding minute, late requests included."""
    burst = min(LARGEST_BURST, requests_per_minute // 10)
    steady = requests_per_minute - burst - 1  # one less: TikTok's clock is not ours
    interval = (timedelta(minutes=1) + SEND_TOLERANCE) / max(steady, 1)
    return RateLimitPolicy(
        interval=interval,
        burst=burst,
        max_queue_delay=LONGEST_USER_WAIT,
        failures=failures,
        probe_interval=probe_interval,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSlot:
    """The right to send one request. `send_at`: by the loop's clock; `wait`: how far ahead that was when it was acquired."""

    send_at: float
    wait: timedelta

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the request may be sent, zero if it may be sent now."""
        return max(self.send_at - loop_time(), 0.0)

    @property
    def is_expired(self) -> bool:
        """Whether a request that is sent now could be one too many within a minute."""
        return loop_time() > self.send_at + SEND_TOLERANCE.total_seconds()


@dataclass(slots=True, kw_only=True)
class RateLimiter:
    """Hands out the slots of one endpoint. `stopping`: set when the process ends; background work stops waiting then."""

    db: Database
    endpoint: Endpoint
    policy: RateLimitPolicy
    stopping: asyncio.Event
    user_queue: UserQueue = field(init=False)
    background_queue: BackgroundQueue = field(default_factory=BackgroundQueue)

    def __post_init__(self) -> None:
        self.user_queue = UserQueue(policy=self.policy)

    async def acquire(self, policy: CallPolicy, *, is_probe: bool = False) -> RequestSlot:
        """Wait for the next slot. Background work waits as long as it takes: hold no lease meanwhile.

        `is_probe`: also while the circuit is open. Raises CallDeferred; QuotaExhausted for a user.
        """
        if policy.viewer_id is None:
            return await self._acquire_in_background()
        return await self._acquire_for_user(policy.viewer_id, is_probe=is_probe)

    async def acquire_soon(self, policy: CallPolicy) -> RequestSlot:
        """Take a slot that is near enough to hold a lease until then. Raises CallDeferred."""
        slot = await self._take(NEAR_FOR_USERS if policy.is_for_user else BACKGROUND_LEAD)
        if slot.granted:
            return _to_request_slot(slot)
        if slot.is_down:
            raise _circuit_open(slot.wait)
        failure = QuotaExhausted if policy.is_for_user else CallDeferred
        raise failure(ambiguous=False, retry_after=slot.wait.total_seconds())

    async def sleep(self, duration: timedelta) -> bool:
        """Sleep, and return True; False at once if the process is about to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(duration.total_seconds()):
                await self.stopping.wait()
        return not self.stopping.is_set()

    async def check_circuit(self) -> None:
        """Raise CircuitOpen while TikTok is considered down."""
        async with self.db.read() as session:
            open_for = await quota.circuit_open_for(session, self.endpoint, self.policy)
        if open_for:
            raise _circuit_open(open_for)

    @asynccontextmanager
    async def circuit_breaker(self, slot: RequestSlot, policy: CallPolicy) -> AsyncGenerator[None]:
        """Sleep until the slot may be used, then record how the one call in the block went.

        Any reply, whatever it says, closes the circuit. No answer counts towards opening it; once it is open, no answer says
        nothing about the account: CircuitOpen.
        """
        await asyncio.sleep(slot.seconds_left)
        try:
            yield
        except CallDeferred:
            raise
        except Unavailable as error:
            if not await self._record_outage(policy):
                raise
            retry_after = self.policy.probe_interval.total_seconds()
            raise CircuitOpen(ambiguous=error.ambiguous, retry_after=retry_after, log_id=error.log_id) from error
        except TikTokError:
            await self._record_answer()
            raise
        await self._record_answer()

    async def _acquire_for_user(self, viewer_id: str, *, is_probe: bool) -> RequestSlot:
        queue, deadline = self.user_queue, loop_time() + LONGEST_USER_WAIT.total_seconds()
        if excess := queue.excess_wait(viewer_id):
            raise _exhausted(excess)
        try:
            async with queue.lock.hold(viewer_id, deadline=deadline):
                return await self._acquire_before(deadline, viewer_id, is_probe=is_probe)
        except LockTimeout:
            raise _exhausted(max(queue.excess_wait(viewer_id), self.policy.interval)) from None

    async def _acquire_before(self, deadline: float, viewer_id: str, *, is_probe: bool) -> RequestSlot:
        queue = self.user_queue
        while True:
            lead = queue.lead_of(viewer_id)
            wait = queue.time_until_slot(lead)
            if excess := max(wait - timedelta(seconds=deadline - loop_time()), timedelta(0)):
                queue.reset()  # the next user asks the database whether the slot is still so far away
                raise _exhausted(excess)
            await asyncio.sleep(wait.total_seconds())
            slot = await self._take(lead, is_probe=is_probe)
            queue.update(slot, lead)
            if slot.granted:
                queue.mark_served(viewer_id)
                return _to_request_slot(slot)
            if slot.is_down:
                raise _circuit_open(slot.wait)

    async def _acquire_in_background(self) -> RequestSlot:
        queue = self.background_queue
        async with queue.lock.hold(""):
            while True:
                if not await self.sleep(queue.time_until_slot(BACKGROUND_LEAD)):
                    raise CallDeferred(ambiguous=False, retry_after=RETRY_AFTER_STOP_SECONDS)  # by another process
                slot = await self._take(BACKGROUND_LEAD)
                if slot.is_down and not slot.granted:
                    raise _circuit_open(slot.wait)
                queue.update(slot, BACKGROUND_LEAD)
                if slot.granted:
                    return _to_request_slot(slot)

    async def _take(self, lead: timedelta, *, is_probe: bool = False) -> QuotaSlot:
        async with self.db.transaction() as session:
            return await quota.take_slot(session, self.endpoint, self.policy, max_wait=lead, is_probe=is_probe)

    async def _record_answer(self) -> None:
        """Close the circuit. Reads first: the row seldom has to change, and changing it makes other callers wait."""
        with suppress(ServiceUnavailable, TimeoutError):
            async with asyncio.timeout(CIRCUIT_WRITE_SECONDS):
                async with self.db.read() as session:
                    has_failures = await quota.has_failures(session, self.endpoint)
                if has_failures:
                    async with self.db.transaction() as session:
                        await quota.record_success(session, self.endpoint)

    async def _record_outage(self, policy: CallPolicy) -> bool:
        """Count a call without an answer; return whether the circuit is open now."""
        counts = policy.counts_outages
        with suppress(ServiceUnavailable, TimeoutError):
            async with asyncio.timeout(CIRCUIT_WRITE_SECONDS), self.db.transaction() as session:
                return await quota.record_failure(session, self.endpoint, self.policy, counts=counts)
        return False


def _to_request_slot(slot: QuotaSlot) -> RequestSlot:
    return RequestSlot(send_at=loop_time() + slot.wait.total_seconds(), wait=slot.wait)


def _exhausted(excess: timedelta) -> QuotaExhausted:
    return QuotaExhausted(ambiguous=False, retry_after=excess.total_seconds())


def _circuit_open(wait: timedelta) -> CircuitOpen:
    return CircuitOpen(ambiguous=False, retry_after=wait.total_seconds())
