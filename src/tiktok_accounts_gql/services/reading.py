"""Every reading of an account at TikTok: within the quota of all processes, and not while TikTok is down.

Two lanes: what a user waits for takes the next slot, however far it lies ahead, up to ten seconds. Work in the background
takes a slot only if it is near, and asks again otherwise: so it never builds up a line that a user would stand in. It waits
before it takes the account, which is then free for a user.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from tiktok_accounts_gql.db import quota
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.quota import Pace, Slot
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import NotAsked, RateLimited, TikTokError, Unavailable
from tiktok_accounts_gql.tiktok.values import TikTokUser

FOR_USERS = timedelta(seconds=10)
IN_BACKGROUND = timedelta(seconds=0.3)
LATEST = timedelta(seconds=0.5)
LARGEST_BURST = 30
PROBE_EVERY = timedelta(seconds=10)
STOPPED_FOR = 1.0


def pace_of(requests_per_minute: int, *, failures: int, probe_every: timedelta = PROBE_EVERY) -> Pace:
    """Burst and steady pace together are the quota of any sliding minute, even if some requests are sent late."""
    burst = min(LARGEST_BURST, requests_per_minute // 10)
    steady = requests_per_minute - burst - 1  # one less: two clocks are not one
    interval = (timedelta(minutes=1) + LATEST) / max(steady, 1)
    return Pace(interval=interval, burst=burst, failures=failures, probe_every=probe_every)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A slot, and when the request may be sent by this loop's clock."""

    slot: Slot
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


Hold = Callable[[Turn], Awaitable[None]]


async def nothing(turn: Turn) -> None:
    del turn


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReader:
    """Reads one account at a time. Raises TikTokError."""

    db: Database
    tiktok: TikTokClient
    pace: Pace
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    line: Line = field(default_factory=Line)

    def stop(self) -> None:
        """What waits for its turn in the background gives up; what is under way is not touched."""
        self.stopping.set()

    async def background_turn(self) -> Turn:
        """Waits for it as long as it takes: hold nothing meanwhile that others wait for. Raises NotAsked."""
        async with self.line.lock:
            while True:
                if not await self.wait(self.line.left):
                    raise NotAsked(ambiguous=False, retry_after=STOPPED_FOR)  # somebody else will ask
                slot = await self._take(IN_BACKGROUND)
                if slot.is_down and not slot.granted:
                    raise NotAsked(ambiguous=False, retry_after=slot.wait.total_seconds())
                self.line.opens_in(slot.next_wait if slot.granted else slot.wait)
                if slot.granted:
                    return _turn(slot)

    async def wait(self, time: timedelta) -> bool:
        """False if the process is about to end before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(time.total_seconds()):
                await self.stopping.wait()
        return not self.stopping.is_set()

    async def read(
        self,
        access_token: str,
        scopes: Collection[str],
        *,
        turn: Turn | None = None,
        in_background: bool = False,
        hold: Hold = nothing,
    ) -> TikTokUser:
        """By its turn, or by the next one that a user gets if that is over. `hold` is called before it waits for it."""
        if turn is None or turn.is_over:
            turn = await self._next_turn(in_background=in_background)
        await hold(turn)
        await asyncio.sleep(turn.left)
        if turn.slot.wait > IN_BACKGROUND:
            await self.check()  # a good while since the slot was taken
        async with self.noting():
            try:
                user = await self.tiktok.user_info(access_token, scopes=scopes)
            except Unavailable:
                raise
            except TikTokError:
                await self._answered(turn.slot)
                raise
        await self._answered(turn.slot)
        return user

    async def check(self) -> None:
        """Raises NotAsked while TikTok is taken to be down."""
        async with self.db.read() as session:
            closed = await quota.closed_for(session)
        if closed:
            raise NotAsked(ambiguous=False, retry_after=closed.total_seconds())

    @asynccontextmanager
    async def noting(self) -> AsyncGenerator[None]:
        """Around a call. Silence is noted; once TikTok is taken to be down, it says nothing about the account."""
        try:
            yield
        except NotAsked:
            raise
        except Unavailable as error:
            if not await self._report(answered=False):
                raise
            after = self.pace.probe_every.total_seconds()
            raise NotAsked(ambiguous=error.ambiguous, retry_after=after, log_id=error.log_id) from error

    async def _answered(self, slot: Slot) -> None:
        if slot.failures:
            await self._report(answered=True)

    async def _next_turn(self, *, in_background: bool) -> Turn:
        slot = await self._take(FOR_USERS)
        if slot.granted:
            return _turn(slot)
        if slot.is_down or in_background:
            raise NotAsked(ambiguous=False, retry_after=slot.wait.total_seconds())
        raise RateLimited(retry_after=slot.wait.total_seconds())

    async def _take(self, within: timedelta) -> Slot:
        async with self.db.transaction() as session:
            return await quota.take(session, self.pace, within=within)

    async def _report(self, *, answered: bool) -> bool:
        async with self.db.transaction() as session:
            return await quota.report(session, self.pace, answered=answered)


def _turn(slot: Slot) -> Turn:
    return Turn(slot=slot, at=asyncio.get_running_loop().time() + slot.wait.total_seconds())
