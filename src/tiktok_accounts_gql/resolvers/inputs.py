"""What comes in: enums, filters and inputs of the contract, and what services understand by them."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Annotated, TypeVar

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.audit import AuditEventFilter
from tiktok_accounts_gql.db.models import (
    AccountStatus,
    AuditAction,
    AuditActor,
    HealthAction,
    HealthReason,
    HealthState,
    JobState,
    SyncOutcome,
)
from tiktok_accounts_gql.db.sync_jobs import JobFilter, ResultFilter
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.accounts import AccountOrder
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.history import StatsGranularity
from tiktok_accounts_gql.services.jobs import Target

AnyEnum = TypeVar("AnyEnum", bound=type[Enum])


class OrderDirection(StrEnum):
    """Which way a list is ordered."""

    ASC = "ASC"
    DESC = "DESC"


def describe(enum: AnyEnum, description: str, values: Mapping[str, str], *, name: str | None = None) -> AnyEnum:
    """Makes a GraphQL enum of one that knows nothing of GraphQL."""
    described: AnyEnum = strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = described.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return described


describe(
    AccountStatus,
    "Whether an account can be used. It follows from `health`; clients that show what to do read `health`.",
    {
        "ACTIVE": "Authorized. Healthy, or degraded for now.",
        "INACTIVE": "Connected, but TikTok withdrew the authorization or closed the account. `health.reason` says which.",
        "EXPIRED": "The authorization ran out or can no longer be renewed: the user has to reconnect.",
    },
)
describe(
    HealthState,
    "How well an account works.",
    {
        "HEALTHY": "Everything asked for can be read.",
        "DEGRADED": "Failing for now and retried by itself, or a scope is missing. `status` is ACTIVE.",
        "BROKEN": "Only the user, or the operator, can mend it.",
    },
    name="AccountHealthState",
)
describe(
    HealthReason,
    "Why an account is not healthy. More reasons may come: treat an unknown one by `action`.",
    {
        "RATE_LIMITED": "TikTok asks for fewer requests. DEGRADED, ACTIVE.",
        "TIKTOK_UNAVAILABLE": "TikTok does not answer, or not as documented. DEGRADED, ACTIVE.",
        "SCOPE_MISSING": "The user did not grant a scope that this API asks for. DEGRADED, ACTIVE.",
        "TOKEN_EXPIRED": "The authorization ran out or TikTok refuses to renew it. BROKEN, EXPIRED.",
        "USER_REVOKED": "The authorization was withdrawn at TikTok. BROKEN, INACTIVE.",
        "ACCOUNT_CLOSED": "TikTok deleted, banned or restricted the account. BROKEN, INACTIVE.",
        "APP_MISCONFIGURED": "TikTok refuses this server's own credentials: no account is to blame. DEGRADED, ACTIVE.",
    },
    name="AccountHealthReason",
)
describe(
    HealthAction,
    "What has to be done. More actions may come: treat an unknown one as CONTACT_OPERATOR.",
    {
        "NONE": "Nothing.",
        "WAIT": "Nothing: it is retried at `nextRetryAt`.",
        "RECONNECT": "Call `startAccountAuthorization` with this account's id.",
        "GRANT_SCOPES": "As RECONNECT, and the user has to tick what `missingScopes` lists.",
        "CONTACT_OPERATOR": "Only whoever runs this server can mend it.",
    },
    name="AccountHealthAction",
)
describe(
    AccountOrderField,
    "By what accounts can be ordered. All but CREATED_AT can change between two pages: an account may then be seen "
    "twice or not at all.",
    {
        "CREATED_AT": "When it was connected for the first time.",
        "DISPLAY_NAME": "By display name, in any case.",
        "USERNAME": "By username, in any case.",
        "FOLLOWER_COUNT": "By followers.",
        "LAST_SYNCED_AT": "By last sync.",
    },
)
describe(
    OrderDirection,
    "Which way a list is ordered.",
    {"ASC": "Smallest, oldest, A first.", "DESC": "Largest, newest, Z first."},
)
describe(
    StatsGranularity,
    "How close the points of a history lie. Days and hours are those of UTC.",
    {"HOUR": "At most one point an hour.", "DAY": "At most one point a day."},
)
describe(
    JobState,
    "How far a sync job is.",
    {
        "QUEUED": "Nothing is read yet.",
        "RUNNING": "Accounts are being read.",
        "CANCELING": "Canceled; what is being read at this moment is finished first.",
        "SUCCEEDED": "Done: every account was read. Also when there was none to read.",
        "PARTIALLY_FAILED": "Done: some accounts were read, at least one failed.",
        "FAILED": "Done: no account was read.",
        "CANCELED": "Canceled before every account had its turn.",
    },
    name="SyncJobState",
)
describe(
    SyncOutcome,
    "How far one account of a sync job is.",
    {
        "PENDING": "Not done yet: waiting, running, or waiting for the next attempt.",
        "SUCCEEDED": "Read.",
        "FAILED": "Not read; `error` says why.",
        "CANCELED": "The job was canceled, or the account disconnected, before its turn.",
    },
)
describe(
    AuditActor,
    "Who did something.",
    {
        "USER": "The signed-in user.",
        "SYSTEM": "This server by itself: the schedule, a retry, the renewal of a token.",
        "TIKTOK": "TikTok.",
    },
)
describe(
    AuditAction,
    "What happened. More actions may come: show an unknown one by its name.",
    {
        "ACCOUNTS_LISTED": "A page of accounts was read.",
        "ACCOUNT_READ": "One account was read.",
        "SUMMARY_READ": "The totals were read.",
        "AUDIT_EVENTS_READ": "The audit log was read.",
        "AUTHORIZATION_STARTED": "The user was sent to TikTok.",
        "AUTHORIZATION_FAILED": "The user came back from TikTok without an account being connected.",
        "AUTHORIZATION_REMOVED": "TikTok told us that the authorization is gone.",
        "ACCOUNT_CONNECTED": "An account was connected for the first time.",
        "ACCOUNT_RECONNECTED": "An account was connected again.",
        "ACCOUNT_DISCONNECTED": "An account was disconnected.",
        "ACCOUNT_SYNCED": "An account was read from TikTok.",
        "ACCOUNT_SYNC_FAILED": "An account could not be read from TikTok.",
        "SYNC_JOB_STARTED": "A sync job was asked for.",
        "SYNC_JOB_FINISHED": "A sync job ended by itself.",
        "SYNC_JOB_CANCELED": "A sync job was canceled.",
        "SYNC_JOBS_READ": "Sync jobs were read.",
        "TOKEN_REFRESHED": "TikTok renewed an access token.",
        "TOKEN_REFRESH_FAILED": "An access token could not be renewed.",
    },
)

First = Annotated[
    int | None,
    strawberry.argument(
        description="From 0 to 50. 20 if neither `first` nor `last` is given; both together are an error."
    ),
]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="From 0 to 50, counted from the end.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before this cursor.")]

_CONDITIONS = "Conditions that all have to hold. An empty list is no condition."
_ANY = "Any of these."


@strawberry.input(name="AccountFilter", description=_CONDITIONS)
class AccountFilterInput:
    status: list[AccountStatus] | None = strawberry.field(default=None, description=_ANY)
    health: list[HealthState] | None = strawberry.field(default=None, description="Any of these states.")
    action: list[HealthAction] | None = strawberry.field(
        default=None, description="Any of these actions, such as RECONNECT."
    )
    search: str | None = strawberry.field(
        default=None,
        description="Part of the username or display name, in any case. 100 characters at most; %, _ and the backslash "
        "stand for themselves.",
    )

    def understood(self) -> AccountFilter:
        return AccountFilter(
            statuses=tuple(self.status or ()),
            health=tuple(self.health or ()),
            actions=tuple(self.action or ()),
            search=self.search or "",
        )


@strawberry.input(
    name="AccountOrder",
    description="How a list of accounts is ordered. Equal values are ordered by id; accounts without a value come last "
    "in both directions.",
)
class AccountOrderInput:
    field: AccountOrderField = strawberry.field(default=AccountOrderField.CREATED_AT, description="By what.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="Which way.")

    def understood(self) -> AccountOrder:
        return AccountOrder(field=self.field, descending=self.direction is OrderDirection.DESC)


@strawberry.input(name="AuditEventFilter", description=_CONDITIONS)
class AuditEventFilterInput:
    action: list[AuditAction] | None = strawberry.field(default=None, description=_ANY)
    changes_only: bool = strawberry.field(default=False, description="Leaves out everything that only reads.")
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events about this account, a disconnected one too."
    )
    from_: datetime | None = strawberry.field(name="from", default=None, description="Inclusive.")
    to: datetime | None = strawberry.field(default=None, description="Exclusive.")

    def understood(self) -> AuditEventFilter:
        """Raises BadUserInput."""
        return AuditEventFilter(
            actions=tuple(self.action or ()),
            changes_only=self.changes_only,
            account_id=None if self.account_id is None else ids.account_key(self.account_id) or ids.NOBODYS,
            start=self.from_,
            end=self.to,
        )


_ACCOUNT_ID = "The account's id."


@strawberry.input(description="Which account to read.")
class SyncAccountInput:
    id: strawberry.ID = strawberry.field(description=_ACCOUNT_ID)


@strawberry.input(description="Which account to disconnect.")
class DisconnectAccountInput:
    id: strawberry.ID = strawberry.field(description=_ACCOUNT_ID)
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Makes a repeated call safe for 24 hours: the same key with the same input answers as the first "
        "call did, with another input it is refused. 1 to 255 characters, best a UUID.",
    )


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

    def understood(self) -> Callback:
        return Callback(state=self.state, code=self.code, error=self.error)


@strawberry.input(name="SyncJobFilter", description=_CONDITIONS)
class SyncJobFilterInput:
    state: list[JobState] | None = strawberry.field(default=None, description=_ANY)

    def understood(self) -> JobFilter:
        return JobFilter(states=tuple(self.state or ()))


@strawberry.input(name="SyncResultFilter", description=_CONDITIONS)
class SyncResultFilterInput:
    outcome: list[SyncOutcome] | None = strawberry.field(default=None, description=_ANY)

    def understood(self) -> ResultFilter:
        return ResultFilter(outcomes=tuple(self.outcome or ()))


_IDS = ("input", "target", "ids")


@strawberry.input(name="SyncAccountsTarget", description="Exactly one of these.", one_of=True)
class SyncAccountsTargetInput:
    ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET,
        description="1 to 500; doubles count once. An id that is not the user's becomes a FAILED result with the code "
        "NOT_FOUND.",
    )
    filter: AccountFilterInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="All accounts that match when the job is asked for; an empty filter means all.",
    )
    failed_in_job: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The accounts that failed in this job."
    )

    def understood(self) -> Target:
        """Raises InvalidInput."""
        if self.ids:
            return Target(ids=tuple(ids.input_account_key(one, *_IDS) for one in self.ids))
        if self.failed_in_job:
            return Target(failed_in=ids.input_job_key(self.failed_in_job, "input", "target", "failedInJob"))
        return Target(where=self.filter.understood()) if self.filter else Target(ids=())


@strawberry.input(description="Which accounts to read.")
class SyncAccountsInput:
    target: SyncAccountsTargetInput = strawberry.field(description="Which accounts.")
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Makes a repeated call safe for 24 hours: the same key with the same input answers as the first "
        "call did, with another input it is refused. 1 to 255 characters, best a UUID.",
    )


@strawberry.input(description="Which job to cancel.")
class CancelSyncJobInput:
    id: strawberry.ID = strawberry.field(description="The job's id.")
