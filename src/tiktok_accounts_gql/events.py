"""Publishes changes to the subscribers of this process, in memory.

The queue of a subscriber is bounded: events about the same object are merged into one, and a subscriber with too many pending
events gets a single `Resync` in their place. So events name objects and carry no state. A subscriber reads the state when it
handles an event, and the latest state wins.
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

MAX_PENDING = 1000
# An event may be published some time after the row was written: a transaction takes its time, and clocks of machines differ.
CLOCK_MARGIN = timedelta(seconds=60)


class ChangeKind(StrEnum):
    """What happened to an account."""

    CONNECTED = "CONNECTED"
    UPDATED = "UPDATED"
    DISCONNECTED = "DISCONNECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """An account changed. `kind` sums up everything since the subscriber's last event about it."""

    account_id: UUID
    kind: ChangeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanged:
    """The counters or the state of a sync job changed."""

    job_id: UUID


Event = AccountChanged | JobChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Events were lost: the subscriber has to read everything that changed since then."""

    since: datetime


class EventSubscription:
    """An async iterator over the pending events of one subscriber."""

    def __init__(
        self, *, clock: Clock, matches: Callable[[Event], bool], merge_window: timedelta, max_pending: int
    ) -> None:
        """`merge_window`: how long each event waits for further ones about the same object, to be merged with them."""
        self._clock = clock
        self._matches = matches
        self._merge_window = merge_window.total_seconds()
        self._max_pending = max_pending
        self._pending: dict[UUID, tuple[Event, float]] = {}  # with the loop's time when each is due; the next one first
        self._pending_since: datetime | None = None
        self._resync_since: datetime | None = None
        self._not_empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    def push(self, event: Event) -> None:
        if not self._matches(event):
            return
        object_id = event.account_id if isinstance(event, AccountChanged) else event.job_id
        if pending := self._pending.get(object_id):
            earlier, due = pending
            self._pending[object_id] = _merge(earlier, event), due
            return
        if not self._pending:
            self._pending_since = self._clock() - CLOCK_MARGIN
        self._pending[object_id] = event, asyncio.get_running_loop().time() + self._merge_window
        self._not_empty.set()
        if len(self._pending) > self._max_pending and self._pending_since is not None:
            self.push_resync(self._pending_since)

    def push_resync(self, since: datetime) -> None:
        """Replace all pending events by one Resync."""
        self._resync_since = min(since, self._resync_since or since, self._pending_since or since)
        self._pending.clear()
        self._not_empty.set()

    def __aiter__(self) -> "EventSubscription":
        return self

    async def __anext__(self) -> Event | Resync:
        while True:
            await self._not_empty.wait()
            if self._resync_since is not None:
                resync, self._resync_since = Resync(since=self._resync_since), None
                self._clear_if_empty()
                return resync
            object_id, (event, due) = next(iter(self._pending.items()))
            remaining = due - asyncio.get_running_loop().time()
            if remaining <= 0:
                del self._pending[object_id]
                self._clear_if_empty()
                return event
            await asyncio.sleep(remaining)

    def _clear_if_empty(self) -> None:
        if not self._pending and self._resync_since is None:
            self._not_empty.clear()
            self._pending_since = None


class Hub:
    """The subscriptions of this process."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: defaultdict[str, set[EventSubscription]] = defaultdict(set)  # by hash_viewer()

    @contextmanager
    def subscribe(
        self,
        viewer_id: str,
        *,
        matches: Callable[[Event], bool],
        merge_window: timedelta = timedelta(0),
        max_pending: int = MAX_PENDING,
    ) -> Iterator[EventSubscription]:
        """Subscribe to the events of one viewer for the length of the block."""
        viewer_hash = hash_viewer(viewer_id)
        subscription = EventSubscription(
            clock=self._clock, matches=matches, merge_window=merge_window, max_pending=max_pending
        )
        self._subscriptions[viewer_hash].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[viewer_hash].discard(subscription)
            if not self._subscriptions[viewer_hash]:
                del self._subscriptions[viewer_hash]

    def publish(self, viewer_hash: str, event: Event) -> None:
        for subscription in self._subscriptions.get(viewer_hash, ()):
            subscription.push(event)

    def publish_resync(self, since: datetime) -> None:
        """Tell the subscribers of all viewers to read again."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.push_resync(since)

    def pending_count(self) -> int:
        """Return the number of pending events of all subscribers together."""
        return sum(
            len(subscription) for subscriptions in self._subscriptions.values() for subscription in subscriptions
        )

    def subscriber_count(self) -> int:
        return sum(map(len, self._subscriptions.values()))


def hash_viewer(viewer_id: str) -> str:
    """Return what stands for a viewer in messages between processes, which everyone with access to the database can read."""
    return sha256(viewer_id.encode()).hexdigest()[:32]


def _merge(earlier: Event, later: Event) -> Event:
    """Return the later event; an account that was connected and then updated is still newly connected."""
    if isinstance(earlier, AccountChanged) and isinstance(later, AccountChanged) and later.kind is ChangeKind.UPDATED:
        return replace(later, kind=earlier.kind)
    return later
