"""The people of the sandbox: anybody may be asked for by an open id, and is always the same.

Counters are a function of the open id and the time, so that a past can be told as well as a present.
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
TRADES = (
    "Bakes", "Climbs", "Draws", "Fixes Bikes", "Sings", "Codes", "Travels", "Dances", "Cooks 🍜", "Surfs 🏄", "Reads",
    "Gardens",
)  # fmt: skip
HANDLES = ("official", "daily", "tv", "studio", "diary", "lab", "club", "now")
PEOPLE = ("person-5", "person-7", "person-9", "person-10")
SECONDS_PER_DAY = 86_400
ORIGIN = 1_704_067_200  # 2024-01-01: before that nobody had followers


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """At one time."""

    follower_count: int
    following_count: int
    likes_count: int
    video_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxUser:
    """Somebody with a TikTok account."""

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
        digest = sha256(open_id.encode()).hexdigest()
        chance = random.Random(digest)  # noqa: S311 - meant to be foreseeable
        first, trade = chance.choice(FIRST_NAMES), chance.choice(TRADES)
        return cls(
            open_id=open_id,
            union_id=f"union-{digest[:24]}",
            display_name=f"{first} {trade}",
            username=f"user.{digest[:6]}.{chance.choice(HANDLES)}",
            bio_description=f"{first} {trade.lower()}. Every day something new.",
            is_verified=chance.random() < 0.2,  # noqa: PLR2004
            followers_a_day=10 ** chance.uniform(-1, 4),
            videos_a_day=chance.uniform(0.05, 2),
            following_count=chance.randrange(1500),
        )

    def at(self, time: float) -> Counters:
        """`time` in seconds since 1970. Followers come faster and slower, and never leave."""
        days = max(0.0, (time - ORIGIN) / SECONDS_PER_DAY)
        followers = int(self.followers_a_day * (days + 5 * sin(days / 5)))
        return Counters(
            follower_count=followers,
            following_count=self.following_count,
            likes_count=followers * 7 + int(days),
            video_count=int(self.videos_a_day * days),
        )

    def fields(self, time: float) -> dict[str, Any]:
        """All fields of the user info endpoint but the links to pictures."""
        counters = self.at(time)
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
