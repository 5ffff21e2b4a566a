"""The queues of this process in front of one endpoint's quota: one for users, one for background work.

Only the head of a queue asks the database, and not before there may be a slot: its answers teach the queue what other
processes have taken.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from tiktok_accounts_gql.db.quota import QuotaSlot, RateLimitPolicy
from tiktok_accounts_gql.fair_queue import FairLock

LONGEST_USER_WAIT = timedelta(seconds=10)
BACKGROUND_LEAD = timedelta(seconds=0.3)
USER_LEAD = timedelta(seconds=0.5)  # larger: a user's request gets a slot before the background may ask for it
SHARE_WINDOW = 10  # intervals between slots
PRIORITY_SLOTS = 3


def loop_time() -> float:
    """Return the running loop's time, in seconds."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True, kw_only=True)
class BackgroundQueue:
    """A queue for slots. `next_at`: by the loop's clock, the earliest time of the next slot as far as this process knows.

    `lead`, in all methods: how far ahead a slot may lie that is taken.
    """

    lock: FairLock = field(default_factory=FairLock)
    next_at: float = 0.0

    def time_until_slot(self, lead: timedelta) -> timedelta:
        """Return how long there is certainly no slot."""
        return max(timedelta(seconds=self.next_at - loop_time()) - lead, timedelta(0))

    def update(self, slot: QuotaSlot, lead: timedelta) -> None:
        """Learn from the database's answer. A slot that is denied because the circuit is open says nothing about the next."""
        if slot.granted or not slot.is_down:
            wait = slot.next_wait if slot.granted else slot.wait
            self.next_at = loop_time() + (wait + lead).total_seconds()

    def reset(self) -> None:
        """Make the next caller ask the database."""
        self.next_at = 0.0


@dataclass(slots=True, kw_only=True)
class UserQueue(BackgroundQueue):
    """The users' queue: fair between viewers.

    A viewer who had three of the last ten slots shares the rest with background work. `served`: the time and the viewer of
    each recent slot.
    """

    policy: RateLimitPolicy
    served: deque[tuple[float, str]] = field(default_factory=deque)

    def lead_of(self, viewer_id: str) -> timedelta:
        """Return how far ahead a slot may lie that the viewer takes now."""
        window_start = loop_time() - (self.policy.interval * SHARE_WINDOW).total_seconds()
        while self.served and self.served[0][0] < window_start:
            self.served.popleft()
        slots = sum(served_viewer == viewer_id for _, served_viewer in self.served)
        return USER_LEAD if slots < PRIORITY_SLOTS else BACKGROUND_LEAD

    def mark_served(self, viewer_id: str) -> None:
        self.served.append((loop_time(), viewer_id))

    def excess_wait(self, viewer_id: str) -> timedelta:
        """Return by how much the viewer's next slot is known to lie beyond the longest wait; zero if the queue is empty."""
        if not self.lock.is_held:
            return timedelta(0)
        first_at = max(self.next_at, loop_time() - (self.policy.interval * self.policy.burst).total_seconds())
        wait = timedelta(seconds=first_at - loop_time()) + self.policy.interval * self.lock.count_ahead(viewer_id)
        return max(wait - LONGEST_USER_WAIT - USER_LEAD, timedelta(0))
