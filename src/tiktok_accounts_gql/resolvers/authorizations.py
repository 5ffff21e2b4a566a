"""Resolvers that connect accounts."""

from typing import Annotated

import strawberry

from tiktok_accounts_gql.errors import AuthorizationStateInvalid
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.inputs import ConnectAccountInput, StartAccountAuthorizationInput
from tiktok_accounts_gql.resolvers.payloads import FailedPayload
from tiktok_accounts_gql.services.authorizations import StartedAuthorization
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount


async def start(
    info: Info, input: Annotated[StartAccountAuthorizationInput, strawberry.argument(description="What to authorize.")]
) -> StartedAuthorization:
    account_id = ids.account_key(input.account_id) if input.account_id else None
    authorizations = info.context.services.authorizations
    return await authorizations.start(info.context.viewer, return_to=input.return_to or None, account_id=account_id)


async def connect(
    info: Info,
    input: Annotated[ConnectAccountInput, strawberry.argument(description="What TikTok's redirect brought.")],
) -> ConnectedAccount | FailedPayload:
    """Return the outcome. The service has recorded it, so a failure is not raised: that would record it again."""
    result = await info.context.services.authorizations.finish(input.to_callback(), info.context.viewer)
    return result.connected or FailedPayload(info, result.error or AuthorizationStateInvalid())
