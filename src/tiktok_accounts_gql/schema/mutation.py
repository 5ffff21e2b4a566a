"""Everything that can be changed."""

import strawberry

from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.schema.payloads import DisconnectAccountPayload, SyncAccountPayload, UserErrors


@strawberry.type(
    description="Everything that can be changed. An unexpected failure of one mutation is null with a top-level error, "
    "and leaves the others' answers."
)
class Mutation:
    disconnect_account = strawberry.field(
        resolver=account_resolvers.disconnect_account,
        graphql_type=DisconnectAccountPayload | None,
        extensions=[UserErrors()],
        description="Disconnects an account: revokes the authorization at TikTok, erases the tokens, keeps the history. "
        "Connecting it again brings the same account back. Codes: NOT_FOUND, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED.",
    )
    sync_account = strawberry.field(
        resolver=account_resolvers.sync_account,
        graphql_type=SyncAccountPayload | None,
        extensions=[UserErrors()],
        description="Reads one account from TikTok now, or joins a reading that is under way. Codes: NOT_FOUND, "
        "INVALID_INPUT, REAUTHORIZATION_REQUIRED, SCOPE_MISSING, SYNC_FAILED, TIKTOK_RATE_LIMITED, TIKTOK_UNAVAILABLE, "
        "APP_MISCONFIGURED.",
    )
