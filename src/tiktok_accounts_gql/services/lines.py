"""Who waits in this process for a slot of an endpoint: in one line for each lane.

Only one of a line asks the database, and not before there may be a slot. What other processes take is learned by that.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from tiktok_accounts_gql.db.quota import QuotaSlot, RateLimitPolicy
from tiktok_accounts_gql.fair_queue import FairLock

FOR_USERS = timedelta(seconds=10)
IN_BACKGROUND = timedelta(seconds=0.3)
USERS_FIRST = timedelta(seconds=0.5)
LATELY = 10  # intervals between slots
FIRST_SLOTS = 3


def now() -> float:
    """By the loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True, kw_only=True)
class Line:
    """`next_at`: the next slot lies there or later, by the loop's clock, as far as this process knows."""

    lock: FairLock = field(default_factory=FairLock)
    next_at: float = 0.0

    def opens_in(self, within: timedelta) -> timedelta:
        """How long there is no slot within that time."""
        return max(timedelta(seconds=self.next_at - now()) - within, timedelta(0))

    def learn(self, slot: QuotaSlot, within: timedelta) -> None:
        """What the database said. A slot that is refused because TikTok is down says nothing."""
        if slot.granted or not slot.is_down:
            rest = slot.next_wait if slot.granted else slot.wait
            self.next_at = now() + (rest + within).total_seconds()

    def forget(self) -> None:
        """The next one asks the database."""
        self.next_at = 0.0


@dataclass(slots=True, kw_only=True)
class UsersLine(Line):
    """Viewers take turns. Who had three of the last ten slots comes no more before the work in the background.

    `served`: who had a slot lately, and when.
    """

    pace: RateLimitPolicy
    served: deque[tuple[float, str]] = field(default_factory=deque)

    def within(self, viewer_id: str) -> timedelta:
        """How far ahead a slot may lie that the viewer takes now."""
        lately = now() - (self.pace.interval * LATELY).total_seconds()
        while self.served and self.served[0][0] < lately:
            self.served.popleft()
        had = sum(one == viewer_id for _, one in self.served)
        return USERS_FIRST if had < FIRST_SLOTS else IN_BACKGROUND

    def note_served(self, viewer_id: str) -> None:
        self.served.append((now(), viewer_id))

    def excess(self, viewer_id: str) -> timedelta:
        """By how much the viewer's next slot is too far away, as far as is known. Nobody in the line: not at all."""
        if not self.lock.is_held:
            return timedelta(0)
        first = max(self.next_at, now() - (self.pace.interval * self.pace.burst).total_seconds())
        away = timedelta(seconds=first - now()) + self.pace.interval * self.lock.count_ahead(viewer_id)
        return max(away - FOR_USERS - USERS_FIRST, timedelta(0))
