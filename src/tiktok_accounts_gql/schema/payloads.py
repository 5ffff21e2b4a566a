"""What mutations answer: the object, and what the user can mend."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from tiktok_accounts_gql.errors import OperationError
from tiktok_accounts_gql.execution.cost import costs
from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.resolvers import payloads as payload_resolvers
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.jobs import SyncJob
from tiktok_accounts_gql.schema.query import Query
from tiktok_accounts_gql.schema.user_errors import UserError


class UserErrors(FieldExtension):
    """A OperationError becomes `userErrors` of the payload and an event, so that no mutation has a `try`."""

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except OperationError as mistake:
            given = kwargs["input"]
            account = getattr(given, "account_id", None) or getattr(given, "id", None)
            return await payload_resolvers.refuse(info, mistake, account)


# Not a base class: its fields would stand before a payload's own in the contract.
def _user_errors() -> Any:
    return strawberry.field(
        resolver=payload_resolvers.user_errors,
        graphql_type=list[UserError],
        metadata=costs(size=1),
        description="What went wrong and who can mend it; empty if nothing did.",
    )


def _query() -> Any:
    return strawberry.field(
        resolver=payload_resolvers.query,
        graphql_type=Query,
        description="The state of everything after the mutation, so that a client can refresh totals and lists in the "
        "same request.",
    )


@strawberry.type(description="The account as it is now, also after a failure: then with its new `health`.")
class SyncAccountPayload:
    account: TikTokAccount | None = strawberry.field(description="Null only if there is no such account.")
    success: bool = strawberry.field(
        resolver=payload_resolvers.success, description="Whether the account was read: the same as no `userErrors`."
    )
    synced_at: datetime | None = strawberry.field(description="When it was read; null if it was not.")
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="The account that is gone.")
class DisconnectAccountPayload:
    disconnected_account_id: strawberry.ID | None = strawberry.field(
        resolver=account_resolvers.disconnected_account_id,
        description="For the client's cache to evict as a TikTokAccount; null if there are errors.",
    )
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="Where to send the user's browser.")
class StartAccountAuthorizationPayload:
    authorization_url: str | None = strawberry.field(
        description="A page of this server, for a browser's window: it names the user and leads on to TikTok's consent page, "
        "with the same `state`. It works once, only for this user, and in one browser; null if there are errors."
    )
    expires_at: datetime | None = strawberry.field(description="When `authorizationUrl` stops working.")
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="The account that is connected now.")
class ConnectAccountPayload:
    account: TikTokAccount | None = strawberry.field(description="Null if there are errors.")
    reconnected: bool | None = strawberry.field(
        description="Whether the account had been connected before; null if there are errors."
    )
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="The job that was begun.")
class SyncAccountsPayload:
    job: SyncJob | None = strawberry.field(description="Null if there are errors.")
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="The job that was stopped.")
class CancelSyncJobPayload:
    job: SyncJob | None = strawberry.field(description="Null only if there is no such job.")
    user_errors = _user_errors()
    query = _query()
