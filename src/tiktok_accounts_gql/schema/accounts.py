"""Types of accounts. They are views of rows: fields without a resolver are attributes of the row."""

from datetime import datetime

import strawberry

from tiktok_accounts_gql.compiler.lookahead import SAME_ROW, requires
from tiktok_accounts_gql.db.account_queries import AccountRow
from tiktok_accounts_gql.db.models import Account, HealthAction, HealthReason, HealthState
from tiktok_accounts_gql.db.models import AccountStatus as Status
from tiktok_accounts_gql.execution.cost import costs
from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.resolvers.list_sizes import history_length
from tiktok_accounts_gql.schema.nodes import COUNTED, NODE_ID, TOTAL_COUNT, BaseConnection, BaseEdge, Node
from tiktok_accounts_gql.schema.scalars import BigInt
from tiktok_accounts_gql.services.history import MAX_POINTS

_UNREADABLE = "Null if it was not readable then."
_AS_FOLLOWERS = "Null as `followerCount` is."
_SUM = "Sum over the accounts whose counter is known; 2^53 - 1 if it is more."
_UNAUTHORIZED = "Null unless `status` is ACTIVE."
_NO_PROFILE = "Null while the scope `user.info.profile` is not granted or TikTok does not tell it."


@strawberry.type(description="The counters at one time.")
class AccountStatsPoint:
    recorded_at: datetime = strawberry.field(description="When they were read from TikTok.")
    follower_count: BigInt | None = strawberry.field(description=_UNREADABLE)
    following_count: BigInt | None = strawberry.field(description=_UNREADABLE)
    likes_count: BigInt | None = strawberry.field(description=_UNREADABLE)
    video_count: BigInt | None = strawberry.field(description=_UNREADABLE)


@strawberry.type(description="What changed between an earlier reading and the last one.")
class AccountGrowth:
    since: datetime = strawberry.field(
        description="When the earlier reading was taken: the first one inside the days asked for."
    )
    follower_change: BigInt | None = strawberry.field(description="Followers won; negative if lost.")
    follower_change_rate: float | None = strawberry.field(
        description="`followerChange` in relation to the earlier count: 0.05 is five percent more. Null if that was 0."
    )
    likes_change: BigInt | None = strawberry.field(description="Likes won; negative if lost.")
    video_change: BigInt | None = strawberry.field(description="Videos published less videos removed.")


@strawberry.type(
    description="Whether the account works, and what to do if it does not. A passing failure never shows as a broken "
    "connection."
)
class AccountHealth:
    health_state: HealthState = strawberry.field(name="state", description="In one word.")
    health_reason: HealthReason | None = strawberry.field(
        name="reason", description="Why it is not healthy; null when it is."
    )
    health_since: datetime = strawberry.field(name="since", description="Since when `state` is what it is.")
    health_action: HealthAction = strawberry.field(name="action", description="Who has to do what.")
    next_retry_at: datetime | None = strawberry.field(description="When the next attempt is due by itself.")
    consecutive_failures: int = strawberry.field(description="Failed syncs since the last one that worked.")


@strawberry.type(
    description="A TikTok account that a user has connected. Disconnected and connected again, it keeps its id."
)
class TikTokAccount(Node):
    view_of = (AccountRow, Account)  # in the order of their frequency, which is checked first

    id: strawberry.ID = strawberry.field(
        resolver=account_resolvers.account_id, metadata=requires("id"), description=NODE_ID
    )
    open_id: str = strawberry.field(
        name="tiktokUserId", description="TikTok's `open_id`: the account, as this TikTok app sees it."
    )
    username: str | None = strawberry.field(
        description=f"The name after the @, without it. It can change. {_NO_PROFILE}"
    )
    display_name: str = strawberry.field(
        description="The name shown on TikTok, as it was last told. Until it was read once, the beginning of "
        "`tiktokUserId`."
    )
    avatar_url: str | None = strawberry.field(
        resolver=account_resolvers.avatar_url,
        metadata=requires("id", "avatar_hash"),
        description="An absolute https link to a copy of the picture. It works in an `img` tag, without a token, until "
        "the account is disconnected, and changes when the picture does.",
    )
    bio_description: str | None = strawberry.field(description=_NO_PROFILE)
    profile_url: str | None = strawberry.field(description=f"The profile's page on TikTok, by https. {_NO_PROFILE}")
    is_verified: bool | None = strawberry.field(description=f"Whether TikTok shows a badge. {_NO_PROFILE}")
    status: Status = strawberry.field(description="In one word.")
    health = strawberry.field(
        resolver=account_resolvers.health,
        graphql_type=AccountHealth,
        metadata=SAME_ROW,
        description="In full, with what to do.",
    )
    follower_count: BigInt | None = strawberry.field(
        description="Null while the scope `user.info.stats` is not granted, the first sync is not done, or the last reply "
        "of TikTok did not tell it readably."
    )
    following_count: BigInt | None = strawberry.field(
        description=f"Accounts that this account follows. {_AS_FOLLOWERS}"
    )
    likes_count: BigInt | None = strawberry.field(description=f"Likes of all its videos. {_AS_FOLLOWERS}")
    video_count: BigInt | None = strawberry.field(description=f"Public videos. {_AS_FOLLOWERS}")
    granted_scopes: list[str] = strawberry.field(description="TikTok's names of the scopes that the user granted.")
    missing_scopes: list[str] = strawberry.field(
        resolver=account_resolvers.missing_scopes,
        metadata=requires("granted_scopes"),
        description="Scopes that this API asks for and the user did not grant.",
    )
    last_synced_at: datetime | None = strawberry.field(
        description="When the profile and the counters were last read from TikTok."
    )
    token_expires_at: datetime | None = strawberry.field(
        resolver=account_resolvers.token_expires_at,
        metadata=requires("status", "token_expires_at"),
        description=f"When the access token runs out. It is renewed by itself: nothing to act on. {_UNAUTHORIZED}",
    )
    reauthorize_by: datetime | None = strawberry.field(
        resolver=account_resolvers.reauthorize_by,
        metadata=requires("status", "reauthorize_by"),
        description=f"When the user has to reconnect at the latest. {_UNAUTHORIZED}",
    )
    last_error: str | None = strawberry.field(
        description="The last failure, as an English sentence of this API for people to read; null when the last sync "
        "worked. Programs read `health.reason`."
    )
    created_at: datetime = strawberry.field(description="When it was connected for the first time.")
    connected_at: datetime = strawberry.field(description="When it was last connected.")
    updated_at: datetime = strawberry.field(description="When anything of it last changed.")
    stats_history = strawberry.field(
        resolver=account_resolvers.stats_history,
        graphql_type=list[AccountStatsPoint],
        metadata=requires("id") | costs(values=10, size=history_length),
        description="Counters as they were, oldest first: the last reading of each UTC hour or day that has one. A "
        f"reading without any counter is none. More than {MAX_POINTS} points are an error.",
    )
    growth = strawberry.field(
        resolver=account_resolvers.growth,
        graphql_type=AccountGrowth | None,
        metadata=requires("id") | costs(values=20),
        description="Change of the counters over the last days; null while there is nothing to compare with.",
    )


@strawberry.type(description="Connected accounts, as a place in a list.")
class AccountEdge(BaseEdge[TikTokAccount]):
    pass


@strawberry.type(description="Connected accounts, page by page.")
class AccountConnection(BaseConnection[AccountEdge]):
    total_count: int = strawberry.field(
        resolver=account_resolvers.total_count, metadata=COUNTED, description=TOTAL_COUNT
    )


@strawberry.type(name="AccountsSummary", description="Totals over all connected accounts of one user.")
class AccountsSummaryType:
    total_accounts: int = strawberry.field(description="Connected accounts.")
    active_accounts: int = strawberry.field(description="Those with the status ACTIVE.")
    inactive_accounts: int = strawberry.field(description="Those with the status INACTIVE.")
    expired_accounts: int = strawberry.field(description="Those with the status EXPIRED.")
    accounts_needing_action: int = strawberry.field(
        description="Those whose `health.action` is RECONNECT or GRANT_SCOPES."
    )
    total_followers: BigInt = strawberry.field(description=_SUM)
    total_likes: BigInt = strawberry.field(description=_SUM)
    total_videos: BigInt = strawberry.field(description=_SUM)
    oldest_sync_at: datetime | None = strawberry.field(
        description="When the oldest of the counters in these totals was read; null without any."
    )
