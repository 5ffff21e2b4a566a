"""Slots for requests to one endpoint of TikTok: within the quota of all processes, and not while TikTok is down.

Every call takes one slot, in one of two lanes, and nobody takes one before it is near: nothing that is booked ahead stands
in anybody's way. What a user waits for, up to ten seconds, may take a slot a little earlier than work in the background: so a
user never stands in the queue of a batch. Viewers who wait take turns, and whoever goes on after a slot shares with the work in
the background (`lines.py`). That work waits before it takes the account, which is then free for a user.
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
from tiktok_accounts_gql.fair_queue import TooLate
from tiktok_accounts_gql.services.lines import FOR_USERS, IN_BACKGROUND, Line, UsersLine, now
from tiktok_accounts_gql.tiktok.errors import NotAsked, QuotaExhausted, TikTokError, Unavailable

NEAR_FOR_USERS = timedelta(seconds=1)
LATEST = timedelta(seconds=0.5)
LARGEST_BURST = 30
PROBE_EVERY = timedelta(seconds=10)
STOPPED_FOR = 1.0
NOTING_SECONDS = 1.0  # a database that is away keeps nobody from the tokens that a reply brought


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """How a call is made.

    `viewer_id`: who waits for it, in the users' lane; None in the background. `counts_silence`: False for an account that
    fails already, for its silence is no news of TikTok.
    """

    viewer_id: str | None = None
    counts_silence: bool = True

    @property
    def is_for_user(self) -> bool:
        return self.viewer_id is not None


BY_ITSELF = CallPolicy()


def pace_of(requests_per_minute: int, *, failures: int, probe_interval: timedelta = PROBE_EVERY) -> RateLimitPolicy:
    """Burst and steady pace together are the quota of any sliding minute, even if some requests are sent late."""
    burst = min(LARGEST_BURST, requests_per_minute // 10)
    steady = requests_per_minute - burst - 1  # one less: two clocks are not one
    interval = (timedelta(minutes=1) + LATEST) / max(steady, 1)
    return RateLimitPolicy(
        interval=interval, burst=burst, max_queue_delay=FOR_USERS, failures=failures, probe_interval=probe_interval
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A slot, and when the request may be sent by this loop's clock."""

    slot: QuotaSlot
    at: float

    @property
    def left(self) -> float:
        """Seconds until then."""
        return max(self.at - now(), 0.0)

    @property
    def is_over(self) -> bool:
        """A request that is sent even later could be one too many within a minute."""
        return now() > self.at + LATEST.total_seconds()


@dataclass(slots=True, kw_only=True)
class Slots:
    """Hands them out. `stopping`: set when the process ends, for what waits in the background gives up then."""

    db: Database
    endpoint: Endpoint
    pace: RateLimitPolicy
    stopping: asyncio.Event
    users: UsersLine = field(init=False)
    background: Line = field(default_factory=Line)

    def __post_init__(self) -> None:
        self.users = UsersLine(pace=self.pace)

    async def take(self, policy: CallPolicy, *, probes: bool = False) -> Turn:
        """The next one. In the background it is waited for as long as it takes: hold nothing meanwhile.

        `probes`: also while TikTok is taken to be down. Raises NotAsked, and QuotaExhausted in the users' lane.
        """
        if policy.viewer_id is None:
            return await self._take_in_background()
        return await self._take_for_user(policy.viewer_id, probes=probes)

    async def take_near(self, policy: CallPolicy) -> Turn:
        """One that is near enough to hold something meanwhile. Raises NotAsked."""
        slot = await self._take(NEAR_FOR_USERS if policy.is_for_user else IN_BACKGROUND)
        if slot.granted:
            return _turn(slot)
        waits_for_quota = policy.is_for_user and not slot.is_down
        failure = QuotaExhausted if waits_for_quota else NotAsked
        raise failure(ambiguous=False, retry_after=slot.wait.total_seconds())

    async def wait(self, time: timedelta) -> bool:
        """False if the process is about to end before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(time.total_seconds()):
                await self.stopping.wait()
        return not self.stopping.is_set()

    async def check(self) -> None:
        """Raises NotAsked while TikTok is taken to be down."""
        async with self.db.read() as session:
            closed = await quota.circuit_open_for(session, self.endpoint, self.pace)
        if closed:
            raise NotAsked(ambiguous=False, retry_after=closed.total_seconds())

    @asynccontextmanager
    async def used(self, turn: Turn, policy: CallPolicy) -> AsyncGenerator[None]:
        """Around the one call that a turn is for, which begins when it may be sent.

        Any reply is an answer, whatever it says. Silence is noted; once TikTok is taken to be down, it says nothing about the
        account: NotAsked.
        """
        await asyncio.sleep(turn.left)
        try:
            yield
        except NotAsked:
            raise
        except Unavailable as error:
            if not await self._note_silence(policy):
                raise
            after = self.pace.probe_interval.total_seconds()
            raise NotAsked(ambiguous=error.ambiguous, retry_after=after, log_id=error.log_id) from error
        except TikTokError:
            await self._note_answer()
            raise
        await self._note_answer()

    async def _take_for_user(self, viewer_id: str, *, probes: bool) -> Turn:
        """In turn with other viewers."""
        line, deadline = self.users, now() + FOR_USERS.total_seconds()
        if excess := line.excess(viewer_id):
            raise _exhausted(excess)
        try:
            async with line.lock.held(viewer_id, until=deadline):
                return await self._take_before(deadline, viewer_id, probes=probes)
        except TooLate:
            raise _exhausted(max(line.excess(viewer_id), self.pace.interval)) from None

    async def _take_before(self, deadline: float, viewer_id: str, *, probes: bool) -> Turn:
        line = self.users
        while True:
            within = line.within(viewer_id)
            wait = line.opens_in(within)
            if excess := max(wait - timedelta(seconds=deadline - now()), timedelta(0)):
                line.forget()  # somebody else asks whether it is still so far away
                raise _exhausted(excess)
            await asyncio.sleep(wait.total_seconds())
            slot = await self._take(within, probes=probes)
            line.learn(slot, within)
            if slot.granted:
                line.note_served(viewer_id)
                return _turn(slot)
            if slot.is_down:
                raise NotAsked(ambiguous=False, retry_after=slot.wait.total_seconds())

    async def _take_in_background(self) -> Turn:
        line = self.background
        async with line.lock.held(""):
            while True:
                if not await self.wait(line.opens_in(IN_BACKGROUND)):
                    raise NotAsked(ambiguous=False, retry_after=STOPPED_FOR)  # another process will ask
                slot = await self._take(IN_BACKGROUND)
                if slot.is_down and not slot.granted:
                    raise NotAsked(ambiguous=False, retry_after=slot.wait.total_seconds())
                line.learn(slot, IN_BACKGROUND)
                if slot.granted:
                    return _turn(slot)

    async def _take(self, within: timedelta, *, probes: bool = False) -> QuotaSlot:
        async with self.db.transaction() as session:
            return await quota.take_slot(session, self.endpoint, self.pace, max_wait=within, is_probe=probes)

    async def _note_answer(self) -> None:
        """Read first: a row is seldom to be changed, and changing it makes others wait."""
        with suppress(ServiceUnavailable, TimeoutError):
            async with asyncio.timeout(NOTING_SECONDS):
                async with self.db.read() as session:
                    has_failures = await quota.has_failures(session, self.endpoint)
                if has_failures:
                    async with self.db.transaction() as session:
                        await quota.record_success(session, self.endpoint)

    async def _note_silence(self, policy: CallPolicy) -> bool:
        """Whether TikTok is taken to be down from now on."""
        counts = policy.counts_silence
        with suppress(ServiceUnavailable, TimeoutError):
            async with asyncio.timeout(NOTING_SECONDS), self.db.transaction() as session:
                return await quota.record_failure(session, self.endpoint, self.pace, counts=counts)
        return False


def _turn(slot: QuotaSlot) -> Turn:
    return Turn(slot=slot, at=now() + slot.wait.total_seconds())


def _exhausted(excess: timedelta) -> QuotaExhausted:
    return QuotaExhausted(ambiguous=False, retry_after=excess.total_seconds())
