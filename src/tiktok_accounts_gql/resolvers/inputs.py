"""Inputs of mutations."""

from datetime import timedelta

import strawberry

from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.errors import BadUserInput, InvalidInput
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.resolvers.filters import AccountFilterInput
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.idempotency import KEY_LIFETIME, MAX_KEY_LENGTH
from tiktok_accounts_gql.services.sync.jobs import MAX_IDS, FailedAccounts, JobTarget, ListedAccounts, MatchingAccounts

_ACCOUNT_ID = "The account's id."
_IDEMPOTENCY_KEY = (
    f"Makes a repeated call safe for {KEY_LIFETIME // timedelta(hours=1)} hours: the same key with the same input "
    "answers as the first call did, with "
    f"another input it is refused. {MAX_KEY_LENGTH} characters at most, best a UUID; an empty one is none."
)


@strawberry.input(description="Which account to read.")
class SyncAccountInput:
    id: strawberry.ID = strawberry.field(description=_ACCOUNT_ID)


@strawberry.input(description="Which account to disconnect.")
class DisconnectAccountInput:
    id: strawberry.ID = strawberry.field(description=_ACCOUNT_ID)
    idempotency_key: str | None = strawberry.field(default=None, description=_IDEMPOTENCY_KEY)


@strawberry.input(description="What to authorize.")
class StartAccountAuthorizationInput:
    return_to: str | None = strawberry.field(
        default=None,
        description="Where the browser goes in the end. Its origin must be on the server's list. The server's callback "
        "adds `accountId`, or `error` with a UserErrorCode, to its query.",
    )
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Reconnect this account: any other TikTok account is refused."
    )


@strawberry.input(description="What TikTok's redirect brought.")
class ConnectAccountInput:
    state: str = strawberry.field(description="TikTok's `state`, unchanged.")
    code: str | None = strawberry.field(default=None, description="TikTok's `code`, URL-decoded.")
    error: str | None = strawberry.field(
        default=None, description="TikTok's `error`, when it sent one in place of `code`."
    )

    def to_callback(self) -> Callback:
        return Callback(state=self.state, code=self.code or None, error=self.error or None)


@strawberry.input(name="SyncAccountsTarget", description="Exactly one of these.", one_of=True)
class SyncAccountsTargetInput:
    ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET,
        description=f"1 to {MAX_IDS}; doubles count once. An id that is not the user's becomes a FAILED result with the code "
        "NOT_FOUND.",
    )
    filter: AccountFilterInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="All accounts that match when the job is asked for; an empty filter means all.",
    )
    failed_in_job: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The accounts that failed in this job."
    )

    def to_target(self) -> JobTarget:
        if self.ids:
            return ListedAccounts(ids=tuple(ids.account_key(account_id) for account_id in self.ids))
        if isinstance(self.failed_in_job, str):
            return FailedAccounts(job_id=ids.job_key(self.failed_in_job))
        return MatchingAccounts(filter=_to_filter(self.filter)) if self.filter else ListedAccounts(ids=())


def _to_filter(input: AccountFilterInput) -> AccountFilter:
    """Return the filter. Raises InvalidInput where lists raise BadUserInput, because mutations return their errors."""
    try:
        return input.to_filter()
    except BadUserInput as error:
        raise InvalidInput(error.message, field=("input", "target", "filter", "search")) from None


@strawberry.input(description="Which accounts to read.")
class SyncAccountsInput:
    target: SyncAccountsTargetInput = strawberry.field(description="Which accounts.")
    idempotency_key: str | None = strawberry.field(default=None, description=_IDEMPOTENCY_KEY)


@strawberry.input(description="Which job to cancel.")
class CancelSyncJobInput:
    id: strawberry.ID = strawberry.field(description="The job's id.")
