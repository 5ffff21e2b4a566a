"""What happened, told to whoever watches: within one process, by memory.

A subscriber never grows: news about the same thing are one piece of news, and whoever is too far behind is told only
since when it has to read again. So events name things and carry no state; a subscriber reads the state when it gets to it,
and the latest one wins.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from tiktok_accounts_gql.clock import Clock

MOST_HELD = 1000
# What is told now may have been written a while ago: a transaction takes its time, and machines' clocks differ.
MARGIN = timedelta(seconds=60)


class ChangeKind(StrEnum):
    """What happened to an account."""

    CONNECTED = "CONNECTED"
    UPDATED = "UPDATED"
    DISCONNECTED = "DISCONNECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """`kind` is the sum of what happened since the subscriber looked last."""

    account_id: UUID
    kind: ChangeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """Its counters or its state."""

    job_id: UUID


Event = AccountChanged | JobChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Events were lost: read again what changed since then."""

    since: datetime


class Subscription:
    """An async iterator of what a subscriber has not seen yet; each event is held for a while, to become one with others."""

    def __init__(self, *, clock: Clock, wants: Callable[[Event], bool], hold: timedelta, most: int) -> None:
        self._clock = clock
        self._wants = wants
        self._hold = hold.total_seconds()
        self._most = most
        self._held: dict[UUID, tuple[Event, float]] = {}  # in the order in which they are due
        self._since: datetime | None = None
        self._missed: datetime | None = None
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def publish(self, event: Event) -> None:
        if not self._wants(event):
            return
        thing = event.account_id if isinstance(event, AccountChanged) else event.job_id
        if earlier := self._held.get(thing):
            self._held[thing] = _merged(earlier[0], event), earlier[1]
            return
        if not self._held:
            self._since = self._clock() - MARGIN
        self._held[thing] = event, asyncio.get_running_loop().time() + self._hold
        self._news.set()
        if len(self._held) > self._most and self._since is not None:
            self.request_resync(self._since)

    def request_resync(self, since: datetime) -> None:
        """In place of everything that is held."""
        self._missed = min(since, self._missed or since, self._since or since)
        self._held.clear()
        self._news.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event | Resync:
        while True:
            await self._news.wait()
            if self._missed is not None:
                missed, self._missed = Resync(since=self._missed), None
                self._looked()
                return missed
            thing, (event, due) = next(iter(self._held.items()))
            left = due - asyncio.get_running_loop().time()
            if left <= 0:
                del self._held[thing]
                self._looked()
                return event
            await asyncio.sleep(left)

    def _looked(self) -> None:
        if not self._held and self._missed is None:
            self._news.clear()
            self._since = None


class Hub:
    """All subscribers of a process."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)

    @contextmanager
    def subscribe(
        self,
        viewer_id: str,
        *,
        wants: Callable[[Event], bool],
        hold: timedelta = timedelta(0),
        most: int = MOST_HELD,
    ) -> Iterator[Subscription]:
        """Events of one viewer, until the block ends."""
        address = address_of(viewer_id)
        subscription = Subscription(clock=self._clock, wants=wants, hold=hold, most=most)
        self._subscriptions[address].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[address].discard(subscription)
            if not self._subscriptions[address]:
                del self._subscriptions[address]

    def deliver(self, address: str, event: Event) -> None:
        for subscription in self._subscriptions.get(address, ()):
            subscription.publish(event)

    def deliver_resync(self, since: datetime) -> None:
        """To everybody."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.request_resync(since)

    def held(self) -> int:
        """How much is waiting for all subscribers together."""
        return sum(len(one) for subscriptions in self._subscriptions.values() for one in subscriptions)

    def watching(self) -> int:
        """How many subscribers there are."""
        return sum(map(len, self._subscriptions.values()))


def address_of(viewer_id: str) -> str:
    """What stands for a viewer in messages between processes, which anybody who may use the database can hear."""
    return sha256(viewer_id.encode()).hexdigest()[:32]


def _merged(earlier: Event, later: Event) -> Event:
    """An account that was connected and then changed was connected; else the later word counts."""
    if isinstance(earlier, AccountChanged) and isinstance(later, AccountChanged) and later.kind is ChangeKind.UPDATED:
        return replace(later, kind=earlier.kind)
    return later
