"""Connecting accounts."""

from typing import Annotated

import strawberry

from tiktok_accounts_gql.errors import AuthorizationStateInvalid
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.context import Info
from tiktok_accounts_gql.resolvers.inputs import ConnectAccountInput, StartAccountAuthorizationInput
from tiktok_accounts_gql.resolvers.payloads import Refused
from tiktok_accounts_gql.services.authorizations import StartedAuthorization
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount


async def start(
    info: Info, input: Annotated[StartAccountAuthorizationInput, strawberry.argument(description="What to authorize.")]
) -> StartedAuthorization:
    account = ids.account_key(input.account_id) if input.account_id else None
    authorizations = info.context.services.authorizations
    return await authorizations.start(info.context.viewer, return_to=input.return_to or None, account_id=account)


async def connect(
    info: Info,
    input: Annotated[ConnectAccountInput, strawberry.argument(description="What TikTok's redirect brought.")],
) -> ConnectedAccount | Refused:
    """What it raises has no event yet; how an attempt ended has one."""
    finished = await info.context.services.authorizations.finish(input.understood(), info.context.viewer)
    return finished.connected or Refused(error=finished.error or AuthorizationStateInvalid())
