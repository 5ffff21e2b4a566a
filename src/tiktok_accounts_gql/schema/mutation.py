"""The root type of mutations."""

from collections.abc import Callable
from typing import Any

import strawberry

from tiktok_accounts_gql.execution.cost import VALUES_PER_POINT, costs
from tiktok_accounts_gql.resolvers import accounts as account_resolvers
from tiktok_accounts_gql.resolvers import authorizations as authorization_resolvers
from tiktok_accounts_gql.resolvers import jobs as job_resolvers
from tiktok_accounts_gql.schema.payloads import (
    CancelSyncJobPayload,
    ConnectAccountPayload,
    DisconnectAccountPayload,
    StartAccountAuthorizationPayload,
    SyncAccountPayload,
    SyncAccountsPayload,
    UserErrorsExtension,
)
from tiktok_accounts_gql.services.authorizations import MAX_STARTS_PER_VIEWER
from tiktok_accounts_gql.services.sync.jobs import MAX_ACCOUNTS, MAX_UNFINISHED


def _mutation(resolver: Callable[..., Any], payload: type[Any], description: str, *, points: int) -> Any:
    """Declare a mutation that costs so many points. It returns expected failures as `userErrors`."""
    return strawberry.field(
        resolver=resolver,
        graphql_type=payload | None,
        extensions=[UserErrorsExtension()],
        metadata=costs(values=points * VALUES_PER_POINT),
        description=description,
    )


@strawberry.type(
    description="Everything that can be changed. An unexpected failure of one mutation is null with a top-level error, "
    "and leaves the others' answers."
)
class Mutation:
    start_account_authorization = _mutation(
        authorization_resolvers.start,
        StartAccountAuthorizationPayload,
        f"Step 1 of connecting or reconnecting an account: a page to send the user's browser to. "
        f"{MAX_STARTS_PER_VIEWER} a minute for each user. Codes: INVALID_INPUT, NOT_FOUND, LIMIT_REACHED.",
        points=20,
    )
    connect_account = _mutation(
        authorization_resolvers.connect,
        ConnectAccountPayload,
        "Step 2, for clients that receive TikTok's redirect themselves; the server's own callback does the "
        "same. The same call repeated answers as the first did. Codes: INVALID_INPUT, AUTHORIZATION_STATE_INVALID, "
        "AUTHORIZATION_STATE_EXPIRED, AUTHORIZATION_CODE_INVALID, AUTHORIZATION_DENIED, WRONG_TIKTOK_ACCOUNT, "
        "ACCOUNT_CONNECTED_ELSEWHERE, SCOPE_MISSING, TIKTOK_RATE_LIMITED, TIKTOK_UNAVAILABLE, SYNC_FAILED, "
        "APP_MISCONFIGURED.",
        points=20,
    )
    disconnect_account = _mutation(
        account_resolvers.disconnect_account,
        DisconnectAccountPayload,
        "Disconnects an account: erases the tokens, keeps the history, and revokes the authorization at TikTok right "
        "after the answer. "
        "Connecting it again brings the same account back. Codes: NOT_FOUND, INVALID_INPUT, IDEMPOTENCY_KEY_REUSED.",
        points=10,
    )
    sync_account = _mutation(
        account_resolvers.sync_account,
        SyncAccountPayload,
        "Reads one account from TikTok now, or joins a reading that is under way. Codes: NOT_FOUND, "
        "INVALID_INPUT, REAUTHORIZATION_REQUIRED, SCOPE_MISSING, SYNC_FAILED, TIKTOK_RATE_LIMITED, TIKTOK_UNAVAILABLE, "
        "APP_MISCONFIGURED.",
        points=10,
    )
    sync_accounts = _mutation(
        job_resolvers.sync_accounts,
        SyncAccountsPayload,
        f"Reads many accounts from TikTok in the background: {MAX_ACCOUNTS:,} at most in a job, and in all jobs of a user "
        f"that have not ended, of which there are {MAX_UNFINISHED} at most. "
        "Codes: NOT_FOUND, INVALID_INPUT, TOO_MANY_IDS, LIMIT_REACHED, IDEMPOTENCY_KEY_REUSED.",
        points=100,
    )
    cancel_sync_job = _mutation(
        job_resolvers.cancel_sync_job,
        CancelSyncJobPayload,
        "Stops a job; what is done stays done. Canceling it again changes nothing. Codes: NOT_FOUND, JOB_FINISHED.",
        points=5,
    )
