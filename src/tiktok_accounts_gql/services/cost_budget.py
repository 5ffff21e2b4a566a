"""What each viewer may spend: points that come back over time, over all processes.

A process takes points out of the viewer's bucket in small portions and spends them in memory. What one process holds and
does not spend is missing elsewhere, so portions are a two-hundredth of the limit, and given back when the viewer is quiet.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from weakref import WeakValueDictionary

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import cost_buckets
from tiktok_accounts_gql.db.cost_buckets import BucketSize
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.errors import BudgetExhausted, ServiceUnavailable

PORTIONS = 200
MAX_WALLETS = 10_000
QUIET = timedelta(seconds=5)
RETURN_EVERY = timedelta(seconds=5)
PRUNE_BATCH = 1000


@dataclass(slots=True)
class _Wallet:
    """What this process holds of one viewer's points. `left`: what was in the bucket at `counted_at`.

    Until `empty_until` the database is not asked: whoever spends too much must not keep it busy.
    """

    points: float = 0.0
    left: float = 0.0
    counted_at: float = 0.0
    used_at: float = 0.0
    empty_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A viewer's budget as this process knows it."""

    limit: int
    cost: int
    remaining: int
    reset_at: datetime


class CostBudget:
    """One per process. Without a limit everything is allowed."""

    def __init__(self, *, db: Database, size: BucketSize | None, clock: Clock) -> None:
        self._db = db
        self._size = size
        self._clock = clock
        self._wallets: OrderedDict[str, _Wallet] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # for as long as anybody waits

    async def spend(self, viewer_id: str, points: int) -> None:
        """Raises BudgetExhausted, ServiceUnavailable."""
        if self._size is None:
            return
        wallet = self._wallets.get(viewer_id)
        if wallet is None or wallet.points < points:
            wallet = await self._filled(self._size, viewer_id, points)
        wallet.points -= points
        wallet.used_at = asyncio.get_running_loop().time()

    def rate_limit(self, viewer_id: str, cost: int) -> RateLimit:
        now = self._clock()
        if self._size is None:
            return RateLimit(limit=0, cost=cost, remaining=0, reset_at=now)
        wallet = self._wallets.get(viewer_id) or _Wallet(left=self._size.limit)
        elapsed = asyncio.get_running_loop().time() - wallet.counted_at
        left = min(self._size.limit, wallet.points + wallet.left + elapsed * self._size.restored)
        missing = (self._size.limit - left) / self._size.restored
        return RateLimit(
            limit=self._size.limit, cost=cost, remaining=int(left), reset_at=now + timedelta(seconds=missing)
        )

    async def return_unused(self) -> None:
        """Gives back what quiet viewers' wallets hold. Raises ServiceUnavailable."""
        quiet_since = asyncio.get_running_loop().time() - QUIET.total_seconds()
        for viewer_id, wallet in list(self._wallets.items()):
            if wallet.used_at < quiet_since:
                await self._empty(viewer_id)

    async def close(self) -> None:
        """Gives back everything; while the database is away it comes back by itself, with time."""
        with suppress(ServiceUnavailable):
            for viewer_id in list(self._wallets):
                await self._empty(viewer_id)

    async def prune(self) -> None:
        """Deletes the rows of full buckets."""
        while self._size is not None:
            async with self._db.transaction() as session:
                if await cost_buckets.delete_full(session, self._size, limit=PRUNE_BATCH) < PRUNE_BATCH:
                    return

    async def _filled(self, size: BucketSize, viewer_id: str, points: int) -> _Wallet:
        """One caller of a viewer asks the database; the others find what it brought."""
        async with self._locks.setdefault(viewer_id, asyncio.Lock()):
            wallet = self._wallets.setdefault(viewer_id, _Wallet())
            self._wallets.move_to_end(viewer_id)
            wallet.used_at = asyncio.get_running_loop().time()  # or else it could be given back meanwhile
            if wallet.points < points:
                if wallet.used_at < wallet.empty_until:
                    raise _exhausted(size, wallet, points)
                await self._take(size, viewer_id, wallet, points)
        if len(self._wallets) > MAX_WALLETS:
            await self._empty(next(iter(self._wallets)))
        return wallet

    async def _take(self, size: BucketSize, viewer_id: str, wallet: _Wallet, points: int) -> None:
        wanted = max(points, size.limit // PORTIONS) - wallet.points
        async with self._db.transaction() as session:
            taken = await cost_buckets.take(session, viewer_id, size, points=wanted)
        wallet.points += taken.points
        wallet.left, wallet.counted_at = taken.remaining, asyncio.get_running_loop().time()
        if wallet.points < points:
            wallet.empty_until = wallet.counted_at + min(1.0, (points - wallet.points) / size.restored)
            raise _exhausted(size, wallet, points)

    async def _empty(self, viewer_id: str) -> None:
        wallet = self._wallets.pop(viewer_id, None)
        if wallet is None or self._size is None or wallet.points < 1:
            return
        async with self._db.transaction() as session:
            await cost_buckets.take(session, viewer_id, self._size, points=-wallet.points)


def _exhausted(size: BucketSize, wallet: _Wallet, points: int) -> BudgetExhausted:
    return BudgetExhausted(retry_after_seconds=ceil((points - wallet.points) / size.restored))
