"""The payloads of mutations."""

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
from tiktok_accounts_gql.schema.jobs import SyncJobType
from tiktok_accounts_gql.schema.query import Query
from tiktok_accounts_gql.schema.user_errors import UserErrorType


class UserErrorsExtension(FieldExtension):
    """Turns an OperationError into `userErrors` of the payload and an audit event, so that no resolver has a `try`."""

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except OperationError as error:
            mutation_input = kwargs["input"]
            account = getattr(mutation_input, "account_id", None) or getattr(mutation_input, "id", None)
            return await payload_resolvers.build_failed_payload(info, error, account)


# Functions and not a base class, whose fields would come before those of the payload in `schema.graphql`.
def _user_errors() -> Any:
    return strawberry.field(
        resolver=payload_resolvers.user_errors,
        graphql_type=list[UserErrorType],
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
    job: SyncJobType | None = strawberry.field(description="Null if there are errors.")
    user_errors = _user_errors()
    query = _query()


@strawberry.type(description="The job that was stopped.")
class CancelSyncJobPayload:
    job: SyncJobType | None = strawberry.field(description="Null only if there is no such job.")
    user_errors = _user_errors()
    query = _query()
