"""When an account is synced by itself the next time.

Every account has a place of its own in the interval, by the hash of its open id: with an interval of a day, a time of day.
The next sync is an interval after the last one, moved by at most a fifth of the interval towards that place. So accounts that
were synced together drift apart, have all reached their places after three intervals, and stay there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

SPREAD = 0.2
LONGEST_RETRY = timedelta(days=1)  # that TikTok may ask for
CLOCKS_DIFFER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTimes:
    """Of one interval; zero turns the schedule off, and then no account has a next sync."""

    interval: timedelta

    def after_sync(self, open_id: str, now: datetime) -> datetime | None:
        """When an account is due that was synced or connected now."""
        if not self.interval:
            return None
        regular, length = now + self.interval, self.interval.total_seconds()
        ahead = (regular.timestamp() - self._place(open_id)) % length  # of the account's place before it
        drift = -ahead if ahead <= length / 2 else length - ahead
        return regular + timedelta(seconds=max(-SPREAD * length, min(drift, SPREAD * length)))

    def after_failure(self, open_id: str, now: datetime, next_retry_at: datetime | None) -> datetime | None:
        """When an account is due that could not be read now: at its retry, if there is one."""
        return next_retry_at if next_retry_at and self.interval else self.after_sync(open_id, now)

    def within_interval(self, open_id: str, now: datetime) -> datetime | None:
        """The account's next place, for one that has no time yet, or one of another interval."""
        if not self.interval:
            return None
        length = self.interval.total_seconds()
        return now + timedelta(seconds=(self._place(open_id) - now.timestamp()) % length)

    def latest(self, now: datetime) -> datetime:
        """No account that was synced is due later than that: a later time is of a longer interval, or of another clock."""
        return now + self.interval * (1 + SPREAD) + CLOCKS_DIFFER

    def latest_retry(self, now: datetime) -> datetime:
        """As `latest`, of those that failed."""
        return max(self.latest(now), now + LONGEST_RETRY + CLOCKS_DIFFER)

    def pause(self) -> timedelta:
        """After an error that nobody expected."""
        return min(self.interval, timedelta(hours=1))

    def _place(self, open_id: str) -> float:
        """In seconds, from 0 to the interval's length."""
        share = int.from_bytes(sha256(open_id.encode()).digest()[:8]) / 2**64
        return share * self.interval.total_seconds()
