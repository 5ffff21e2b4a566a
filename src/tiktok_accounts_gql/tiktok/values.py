"""What TikTok's API tells, as values. `None` stands for what a reply lacks, or what of it could not be read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

BASIC_SCOPE = "user.info.basic"
LARGEST_COUNTER = 2**53 - 1  # as the contract's BigInt: no account comes near it

FIELDS_OF_SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        BASIC_SCOPE: ("open_id", "union_id", "avatar_url", "display_name"),
        "user.info.profile": ("username", "bio_description", "is_verified", "profile_deep_link"),
        "user.info.stats": ("follower_count", "following_count", "likes_count", "video_count"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What an exchange or a refresh returns. Lifetimes are the seconds that remain.

    `open_id`: empty if the reply does not say. `scopes`: None if none of them is known.
    """

    open_id: str
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_in: int | None = None
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TikTokUser:
    """An account as TikTok shows it. A real 0 is 0. `scopes`: those whose fields were asked for."""

    scopes: frozenset[str] = frozenset(FIELDS_OF_SCOPES)
    open_id: str | None = None
    union_id: str | None = None
    display_name: str | None = None
    username: str | None = None
    avatar_url: str | None = None
    bio_description: str | None = None
    profile_url: str | None = None
    is_verified: bool | None = None
    follower_count: int | None = None
    following_count: int | None = None
    likes_count: int | None = None
    video_count: int | None = None


def fields_of(scopes: Collection[str]) -> tuple[str, ...]:
    """What may be asked for: TikTok refuses a request for any field beyond the granted scopes."""
    return tuple(name for scope, names in FIELDS_OF_SCOPES.items() if scope in scopes for name in names)
