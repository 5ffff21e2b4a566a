"""The users of the sandbox: every open id has one, with the same profile each time.

ProfileCounters are a function of the open id and the time, so that a history can be computed for the past.
"""

import random
from dataclasses import dataclass
from hashlib import sha256
from math import sin
from typing import Any, Self

FIRST_NAMES = (
    "Ann", "Ben", "Zoë", "Ödön", "李娜", "Ναταλία", "Søren", "Aïcha", "Łukasz", "Мария", "さくら", "Chloé", "Jürgen",
    "Ayşe", "Mateo", "Ngọc", "Björk", "Siân", "Yusuf", "Priya",
)  # fmt: skip
ACTIVITIES = (
    "Bakes", "Climbs", "Draws", "Fixes Bikes", "Sings", "Codes", "Travels", "Dances", "Cooks 🍜", "Surfs 🏄", "Reads",
    "Gardens",
)  # fmt: skip
USERNAME_SUFFIXES = ("official", "daily", "tv", "studio", "diary", "lab", "club", "now")
DEFAULT_OPEN_IDS = ("person-5", "person-7", "person-9", "person-10")
SECONDS_PER_DAY = 86_400
VERIFIED_SHARE = 0.2
FIRST_DAY = 1_704_067_200  # 2024-01-01: before that no user has followers


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCounters:
    """A user's counters at one time."""

    follower_count: int
    following_count: int
    likes_count: int
    video_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxUser:
    """A user of TikTok."""

    open_id: str
    union_id: str
    display_name: str
    username: str
    bio_description: str
    is_verified: bool
    followers_a_day: float
    videos_a_day: float
    following_count: int

    @classmethod
    def of(cls, open_id: str) -> Self:
        """Return the user with this open id, which may be any text."""
        digest = sha256(open_id.encode()).hexdigest()
        rng = random.Random(digest)  # noqa: S311 - meant to be foreseeable
        first_name, activity = rng.choice(FIRST_NAMES), rng.choice(ACTIVITIES)
        return cls(
            open_id=open_id,
            union_id=f"union-{digest[:24]}",
            display_name=f"{first_name} {activity}",
            username=f"user.{digest[:6]}.{rng.choice(USERNAME_SUFFIXES)}",
            bio_description=f"{first_name} {activity.lower()}. Every day something new.",
            is_verified=rng.random() < VERIFIED_SHARE,
            followers_a_day=10 ** rng.uniform(-1, 4),
            videos_a_day=rng.uniform(0.05, 2),
            following_count=rng.randrange(1500),
        )

    def counters_at(self, time: float) -> ProfileCounters:
        """Return the counters at a time in seconds since 1970. They grow faster and slower, and never shrink."""
        days = max(0.0, (time - FIRST_DAY) / SECONDS_PER_DAY)
        followers = int(self.followers_a_day * (days + 5 * sin(days / 5)))
        return ProfileCounters(
            follower_count=followers,
            following_count=self.following_count,
            likes_count=followers * 7 + int(days),
            video_count=int(self.videos_a_day * days),
        )

    def fields_at(self, time: float) -> dict[str, Any]:
        """Return all fields of the user info endpoint but the links to pictures."""
        counters = self.counters_at(time)
        return {
            "open_id": self.open_id,
            "union_id": self.union_id,
            "display_name": self.display_name,
            "username": self.username,
            "bio_description": self.bio_description,
            "is_verified": self.is_verified,
            "profile_deep_link": f"https://www.tiktok.com/@{self.username}",
            "follower_count": counters.follower_count,
            "following_count": counters.following_count,
            "likes_count": counters.likes_count,
            "video_count": counters.video_count,
        }
