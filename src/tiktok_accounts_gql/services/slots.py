"""Slots for requests to one endpoint of TikTok: within the quota of all processes, and not while TikTok is down.

Every call takes one slot, in one of two lanes. What a user waits for takes the next slot, however far it lies ahead, up to ten
seconds. Work in the background takes a slot only if it is near, and asks again otherwise: so it never builds up a queue that a
user would stand in. It waits before it takes the account, which is then free for a user.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto

from tiktok_accounts_gql.db import quota
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.quota import Endpoint, QuotaSlot, RateLimitPolicy
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.tiktok.errors import NotAsked, QuotaExhausted, TikTokError, Unavailable

FOR_USERS = timedelta(seconds=10)
IN_BACKGROUND = timedelta(seconds=0.3)
LATEST = timedelta(seconds=0.5)
LARGEST_BURST = 30
PROBE_EVERY = timedelta(seconds=10)
STOPPED_FOR = 1.0
NOTING_SECONDS = 1.0  # a database that is away keeps nobody from the tokens that a reply brought


class Lane(Enum):
    """Who waits for a call."""

    USERS = auto()
    BACKGROUND = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """How a call is made. `counts_silence`: False for an account that fails already, for its silence is no news of TikTok."""

    lane: Lane = Lane.USERS
    counts_silence: bool = True


NEAR = {Lane.USERS: timedelta(seconds=1), Lane.BACKGROUND: IN_BACKGROUND}
FOR_A_USER = CallPolicy()
BY_ITSELF = CallPolicy(lane=Lane.BACKGROUND)


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
        return max(self.at - asyncio.get_running_loop().time(), 0.0)

    @property
    def is_over(self) -> bool:
        """A request that is sent even later could be one too many within a minute."""
        return asyncio.get_running_loop().time() > self.at + LATEST.total_seconds()


@dataclass(slots=True, kw_only=True)
class Line:
    """What waits for its turn in the background: only one asks the database, and not before there may be a slot."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opens_at: float = 0.0

    @property
    def left(self) -> timedelta:
        return timedelta(seconds=max(self.opens_at - asyncio.get_running_loop().time(), 0.0))

    def opens_in(self, time: timedelta) -> None:
        self.opens_at = asyncio.get_running_loop().time() + time.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Hands them out. `stopping`: set when the process ends, for what waits in the background gives up then."""

    db: Database
    endpoint: Endpoint
    pace: RateLimitPolicy
    stopping: asyncio.Event
    line: Line = field(default_factory=Line)

    async def take(self, lane: Lane, *, probes: bool = False) -> Turn:
        """The next one. In the background it is waited for as long as it takes: hold nothing meanwhile.

        `probes`: also while TikTok is taken to be down. Raises NotAsked, and QuotaExhausted in the users' lane.
        """
        if lane is Lane.BACKGROUND:
            return await self._take_in_background()
        slot = await self._take(FOR_USERS, probes=probes)
        if slot.granted:
            return _turn(slot)
        raise (NotAsked if slot.is_down else QuotaExhausted)(ambiguous=False, retry_after=slot.wait.total_seconds())

    async def take_near(self, lane: Lane) -> Turn:
        """One that is near enough to hold something meanwhile. Raises NotAsked."""
        slot = await self._take(NEAR[lane])
        if slot.granted:
            return _turn(slot)
        waits_for_quota = lane is Lane.USERS and not slot.is_down
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

    async def _take_in_background(self) -> Turn:
        async with self.line.lock:
            while True:
                if not await self.wait(self.line.left):
                    raise NotAsked(ambiguous=False, retry_after=STOPPED_FOR)  # another process will ask
                slot = await self._take(IN_BACKGROUND)
                if slot.is_down and not slot.granted:
                    raise NotAsked(ambiguous=False, retry_after=slot.wait.total_seconds())
                self.line.opens_in(slot.next_wait if slot.granted else slot.wait)
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
    return Turn(slot=slot, at=asyncio.get_running_loop().time() + slot.wait.total_seconds())
