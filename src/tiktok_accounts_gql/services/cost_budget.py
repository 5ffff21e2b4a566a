"""Rate limit by query cost: a token bucket of points per viewer, shared by all processes.

A process takes points out of the viewer's bucket in the database in small portions, and spends them in memory. Points that
one process holds are missing in the others. So a portion is a two-hundredth of the limit, and what a viewer does not spend
within some seconds is returned.
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

PORTIONS_PER_BUCKET = 200
MAX_WALLETS = 10_000
IDLE_TIME = timedelta(seconds=5)
RETURN_EVERY = timedelta(seconds=5)
PRUNE_BATCH = 1000
MAX_REFUSAL_SECONDS = 1.0


@dataclass(slots=True)
class _Wallet:
    """The points of one viewer that this process holds. Times are of the event loop's clock, in seconds.

    `bucket_points` were in the database's bucket at `counted_at`. Until `empty_until` the database is not asked again, so
    that a viewer who spends too much does not keep it busy.
    """

    points: float = 0.0
    bucket_points: float = 0.0
    counted_at: float = 0.0
    used_at: float = 0.0
    empty_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """A viewer's budget, as far as this process knows it."""

    limit: int
    cost: int
    remaining: int
    reset_at: datetime


class CostBudget:
    """The wallets of a process. With a `size` of None, nothing is limited."""

    def __init__(self, *, db: Database, size: BucketSize | None, clock: Clock) -> None:
        self._db = db
        self._size = size
        self._clock = clock
        self._wallets: OrderedDict[str, _Wallet] = OrderedDict()  # least recently filled first
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # each lives while it is in use

    async def spend(self, viewer_id: str, points: int) -> None:
        """Spend points. Raises BudgetExhausted, ServiceUnavailable."""
        if self._size is None:
            return
        wallet = self._wallets.get(viewer_id)
        if wallet is None or wallet.points < points:
            wallet = await self._get_filled_wallet(self._size, viewer_id, points)
        wallet.points -= points
        wallet.used_at = asyncio.get_running_loop().time()

    def get_status(self, viewer_id: str, cost: int) -> BudgetStatus:
        """Return the viewer's budget now; `cost` is that of the operation that asks."""
        now = self._clock()
        if self._size is None:
            return BudgetStatus(limit=0, cost=cost, remaining=0, reset_at=now)
        limit, points_per_second = self._size.limit, self._size.restored
        wallet = self._wallets.get(viewer_id) or _Wallet(bucket_points=limit)
        elapsed = asyncio.get_running_loop().time() - wallet.counted_at
        remaining = min(limit, wallet.points + wallet.bucket_points + elapsed * points_per_second)
        reset_at = now + timedelta(seconds=(limit - remaining) / points_per_second)
        return BudgetStatus(limit=limit, cost=cost, remaining=int(remaining), reset_at=reset_at)

    async def return_unused(self) -> None:
        """Return the points of idle viewers to their buckets. Raises ServiceUnavailable."""
        idle_since = asyncio.get_running_loop().time() - IDLE_TIME.total_seconds()
        for viewer_id, wallet in list(self._wallets.items()):
            if wallet.used_at < idle_since:
                await self._remove_wallet(viewer_id)

    async def close(self) -> None:
        """Return all points; if the database is away they are not lost, because buckets refill with time."""
        with suppress(ServiceUnavailable):
            for viewer_id in list(self._wallets):
                await self._remove_wallet(viewer_id)

    async def prune(self) -> None:
        """Delete the rows of full buckets."""
        while self._size is not None:
            async with self._db.transaction() as session:
                if await cost_buckets.delete_full(session, self._size, limit=PRUNE_BATCH) < PRUNE_BATCH:
                    return

    async def _get_filled_wallet(self, size: BucketSize, viewer_id: str, points: int) -> _Wallet:
        """Return a wallet with that many points. One caller per viewer asks the database; the others wait for it."""
        async with self._locks.setdefault(viewer_id, asyncio.Lock()):
            wallet = self._wallets.setdefault(viewer_id, _Wallet())
            self._wallets.move_to_end(viewer_id)
            wallet.used_at = asyncio.get_running_loop().time()  # else `return_unused` could remove it meanwhile
            if wallet.points < points:
                if wallet.used_at < wallet.empty_until:
                    raise _build_error(size, wallet, points)
                await self._fill(size, viewer_id, wallet, points)
        if len(self._wallets) > MAX_WALLETS:
            await self._remove_wallet(next(iter(self._wallets)))
        return wallet

    async def _fill(self, size: BucketSize, viewer_id: str, wallet: _Wallet, points: int) -> None:
        """Take a portion out of the bucket, or more if `points` are more. Raises BudgetExhausted."""
        wanted = max(points, size.limit // PORTIONS_PER_BUCKET) - wallet.points
        async with self._db.transaction() as session:
            withdrawal = await cost_buckets.take(session, viewer_id, size, points=wanted)
        wallet.points += withdrawal.points
        wallet.bucket_points, wallet.counted_at = withdrawal.remaining, asyncio.get_running_loop().time()
        if wallet.points < points:
            seconds = (points - wallet.points) / size.restored
            wallet.empty_until = wallet.counted_at + min(MAX_REFUSAL_SECONDS, seconds)
            raise _build_error(size, wallet, points)

    async def _remove_wallet(self, viewer_id: str) -> None:
        """Remove the wallet and return its points to the bucket."""
        wallet = self._wallets.pop(viewer_id, None)
        if wallet is None or self._size is None or wallet.points < 1:
            return
        async with self._db.transaction() as session:
            await cost_buckets.take(session, viewer_id, self._size, points=-wallet.points)


def _build_error(size: BucketSize, wallet: _Wallet, points: int) -> BudgetExhausted:
    return BudgetExhausted(retry_after_seconds=ceil((points - wallet.points) / size.restored))
