"""What mutations answer: the object, and what the user can mend."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from tiktok_accounts_gql.errors import UserErrorCode, UserMistake
from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.resolvers import payloads as payload_resolvers
from tiktok_accounts_gql.resolvers.inputs import describe
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.query import Query

_QUERY = (
    "The state of everything after the mutation, so that a client can refresh totals and lists in the same request."
)
_USER_ERRORS = "What went wrong and who can mend it; empty if nothing did."

describe(
    UserErrorCode,
    "Why something was not done. More codes may come: treat an unknown one by its message.",
    {
        "NOT_FOUND": "There is no such object, it was disconnected, or it belongs to somebody else.",
        "INVALID_INPUT": "An input breaks a rule in its description; `field` says which.",
        "AUTHORIZATION_STATE_INVALID": "`state` is unknown, was used, or belongs to another user: start again.",
        "AUTHORIZATION_STATE_EXPIRED": "Too long ago: start again.",
        "AUTHORIZATION_DENIED": "The user said no at TikTok.",
        "WRONG_TIKTOK_ACCOUNT": "The user signed in at TikTok with another account than the one to reconnect.",
        "ACCOUNT_CONNECTED_ELSEWHERE": "Another user of this API has connected this TikTok account.",
        "AUTHORIZATION_CODE_INVALID": "TikTok refuses the code: start again.",
        "REAUTHORIZATION_REQUIRED": "TikTok no longer accepts this account's authorization: reconnect.",
        "SCOPE_MISSING": "The user did not grant what this needs.",
        "SYNC_FAILED": "It could not be read, for none of the other reasons.",
        "TIKTOK_RATE_LIMITED": "TikTok asks for fewer requests; `retryAfterSeconds` says when.",
        "TIKTOK_UNAVAILABLE": "TikTok does not answer, or not as documented.",
        "APP_MISCONFIGURED": "TikTok refuses this server's own credentials: contact its operator.",
        "IDEMPOTENCY_KEY_REUSED": "This `idempotencyKey` came with another input before.",
    },
)


class UserErrors(FieldExtension):
    """A UserMistake becomes `userErrors` of the payload, so that no mutation has a `try`."""

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except UserMistake as mistake:
            return payload_resolvers.Refused(error=mistake)


@strawberry.type(description="A failure that the user, or the client's author, can act on.")
class UserError:
    code: UserErrorCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="An English sentence for people. It may change: never compare it.")
    field: list[str] | None = strawberry.field(
        description='Path to the input that caused it, such as ["input", "id"]; null if no input did.'
    )
    retry_after_seconds: int | None = strawberry.field(
        description="Seconds after which another try makes sense; null if none does."
    )


@strawberry.type(description="The account as it is now, also after a failure: then with its new `health`.")
class SyncAccountPayload:
    account: TikTokAccount | None = strawberry.field(description="Null only if there is no such account.")
    success: bool = strawberry.field(
        resolver=payload_resolvers.success, description="Whether the account was read: the same as no `userErrors`."
    )
    synced_at: datetime | None = strawberry.field(description="When it was read; null if it was not.")
    user_errors = strawberry.field(
        resolver=payload_resolvers.user_errors, graphql_type=list[UserError], description=_USER_ERRORS
    )
    query = strawberry.field(resolver=payload_resolvers.query, graphql_type=Query, description=_QUERY)


@strawberry.type(description="The account that is gone.")
class DisconnectAccountPayload:
    disconnected_account_id: strawberry.ID | None = strawberry.field(
        resolver=account_resolvers.disconnected_account_id,
        description="For the client's cache to evict as a TikTokAccount; null if there are errors.",
    )
    user_errors = strawberry.field(
        resolver=payload_resolvers.user_errors, graphql_type=list[UserError], description=_USER_ERRORS
    )
    query = strawberry.field(resolver=payload_resolvers.query, graphql_type=Query, description=_QUERY)


@strawberry.type(description="Where to send the user's browser.")
class StartAccountAuthorizationPayload:
    authorization_url: str | None = strawberry.field(
        description="TikTok's consent page. It works once and only for this user; null if there are errors."
    )
    expires_at: datetime | None = strawberry.field(description="When `authorizationUrl` stops working.")
    user_errors = strawberry.field(
        resolver=payload_resolvers.user_errors, graphql_type=list[UserError], description=_USER_ERRORS
    )
    query = strawberry.field(resolver=payload_resolvers.query, graphql_type=Query, description=_QUERY)


@strawberry.type(description="The account that is connected now.")
class ConnectAccountPayload:
    account: TikTokAccount | None = strawberry.field(description="Null if there are errors.")
    reconnected: bool | None = strawberry.field(
        description="Whether the account had been connected before; null if there are errors."
    )
    user_errors = strawberry.field(
        resolver=payload_resolvers.user_errors, graphql_type=list[UserError], description=_USER_ERRORS
    )
    query = strawberry.field(resolver=payload_resolvers.query, graphql_type=Query, description=_QUERY)
