"""When an account is synced by the schedule the next time.

Every account has a place of its own in the interval, by the hash of its open id: with an interval of a day, a time of day.
The next sync is an interval after the last one, moved by at most a fifth of the interval towards that place. So accounts that
were synced together drift apart, have all reached their places after three intervals, and stay there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

SPREAD = 0.2
LONGEST_RETRY = timedelta(days=1)  # that TikTok may ask for
LONGEST_PAUSE = timedelta(hours=1)
CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTimes:
    """The times of one interval; an interval of zero turns the schedule off, and then no account has a next sync."""

    interval: timedelta

    def after_sync(self, open_id: str, now: datetime) -> datetime | None:
        """Return the next sync of an account that was synced or connected now."""
        if not self.interval:
            return None
        regular, length = now + self.interval, self.interval.total_seconds()
        seconds_past_place = (regular.timestamp() - self._place(open_id)) % length
        drift = -seconds_past_place if seconds_past_place <= length / 2 else length - seconds_past_place
        return regular + timedelta(seconds=max(-SPREAD * length, min(drift, SPREAD * length)))

    def after_failure(self, open_id: str, now: datetime, next_retry_at: datetime | None) -> datetime | None:
        """Return the next sync of an account that could not be read now: its retry, if there is one."""
        return next_retry_at if next_retry_at and self.interval else self.after_sync(open_id, now)

    def within_interval(self, open_id: str, now: datetime) -> datetime | None:
        """Return the account's next place, for an account that has no time yet, or a time of another interval."""
        if not self.interval:
            return None
        length = self.interval.total_seconds()
        return now + timedelta(seconds=(self._place(open_id) - now.timestamp()) % length)

    def latest(self, now: datetime) -> datetime:
        """Return the latest next sync that a synced account can have.

        A later time comes from a longer interval that was configured before, or from a clock that was ahead.
        """
        return now + self.interval * (1 + SPREAD) + CLOCK_SKEW

    def latest_retry(self, now: datetime) -> datetime:
        """Return the latest next sync that an account that failed can have."""
        return max(self.latest(now), now + LONGEST_RETRY + CLOCK_SKEW)

    def pause(self) -> timedelta:
        """Return the pause after an unexpected error."""
        return min(self.interval, LONGEST_PAUSE)

    def _place(self, open_id: str) -> float:
        """Return the account's place in the interval, in seconds."""
        share = int.from_bytes(sha256(open_id.encode()).digest()[:8]) / 2**64
        return share * self.interval.total_seconds()
