"""The enums of the schema. They are declared in other layers; descriptions are added here."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import TypeVar

import strawberry

from tiktok_accounts_gql.compiler.internals import get_enum_definition
from tiktok_accounts_gql.db.accounts import AccountOrderField
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
from tiktok_accounts_gql.services.history import StatsGranularity

AnyEnum = TypeVar("AnyEnum", bound=type[Enum])


class OrderDirection(StrEnum):
    """The direction in which a list is ordered."""

    ASC = "ASC"
    DESC = "DESC"


def describe(enum: AnyEnum, description: str, values: Mapping[str, str], *, name: str | None = None) -> AnyEnum:
    """Make a GraphQL enum of a Python enum."""
    graphql_enum: AnyEnum = strawberry.enum(enum, name=name, description=description)
    for value in get_enum_definition(graphql_enum).values:
        value.description = values[value.name]
    return graphql_enum


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
        "TOKENS_UNREADABLE": "This server cannot open the tokens that it stored: a key is lost, or the row was damaged. "
        "BROKEN, EXPIRED.",
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
        "SUCCEEDED": "Done: every account was read that was not disconnected meanwhile. Also when there was none to read.",
        "PARTIALLY_FAILED": "Done: some accounts were read, at least one failed.",
        "FAILED": "Done: no account was read, at least one failed.",
        "CANCELED": "Done: `cancelSyncJob` came before every account had its turn, or all of them were disconnected "
        "meanwhile.",
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
        "VIEWER_READ": "The signed-in user was read.",
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
        "MUTATION_REFUSED": "A mutation changed nothing: its `operation`, and its UserErrorCode as `reason`.",
        "MUTATION_REPEATED": "A mutation changed nothing, and answered as an earlier call did: its `operation`.",
        "QUERY_REFUSED": "A query or subscription read nothing: its `operation`, and its error code as `reason`.",
    },
)
