"""Values of TikTok's API. None stands for a field that a reply lacks or that could not be parsed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

BASIC_SCOPE = "user.info.basic"
MAX_COUNTER = 2**53 - 1  # as the contract's BigInt: no account comes near it

FIELDS_OF_SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        BASIC_SCOPE: ("open_id", "union_id", "avatar_url", "display_name"),
        "user.info.profile": ("username", "bio_description", "is_verified", "profile_deep_link"),
        "user.info.stats": ("follower_count", "following_count", "likes_count", "video_count"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """The tokens that an exchange or a refresh returns. Lifetimes are the seconds that remain.

    `open_id`: empty if the reply has none. `scopes`: None if this code knows none of them.
    """

    open_id: str
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_in: int | None = None
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TikTokUser:
    """An account's profile and counters. A counter that is 0 is 0, and not None. `scopes`: whose fields were requested."""

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


def list_fields(scopes: Collection[str]) -> tuple[str, ...]:
    """Return the fields to request: TikTok refuses a request for any field beyond the granted scopes."""
    return tuple(name for scope, names in FIELDS_OF_SCOPES.items() if scope in scopes for name in names)
