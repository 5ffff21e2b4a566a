"""The values of enum columns."""

from enum import StrEnum


class AccountStatus(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    EXPIRED = "EXPIRED"


class HealthState(StrEnum):
    """How well an account works."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    BROKEN = "BROKEN"


class HealthReason(StrEnum):
    """Why an account is not healthy."""

    RATE_LIMITED = "RATE_LIMITED"
    TIKTOK_UNAVAILABLE = "TIKTOK_UNAVAILABLE"
    SCOPE_MISSING = "SCOPE_MISSING"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    TOKENS_UNREADABLE = "TOKENS_UNREADABLE"
    USER_REVOKED = "USER_REVOKED"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    APP_MISCONFIGURED = "APP_MISCONFIGURED"


class HealthAction(StrEnum):
    """What has to be done about an account that is not healthy."""

    NONE = "NONE"
    WAIT = "WAIT"
    RECONNECT = "RECONNECT"
    GRANT_SCOPES = "GRANT_SCOPES"
    CONTACT_OPERATOR = "CONTACT_OPERATOR"


class JobState(StrEnum):
    """The state of a sync job."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    PARTIALLY_FAILED = "PARTIALLY_FAILED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class SyncOutcome(StrEnum):
    """The state of one account of a sync job."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class AuditAction(StrEnum):
    """What an audit event records."""

    ACCOUNTS_LISTED = "ACCOUNTS_LISTED"
    ACCOUNT_READ = "ACCOUNT_READ"
    SUMMARY_READ = "SUMMARY_READ"
    VIEWER_READ = "VIEWER_READ"
    AUDIT_EVENTS_READ = "AUDIT_EVENTS_READ"
    AUTHORIZATION_STARTED = "AUTHORIZATION_STARTED"
    AUTHORIZATION_FAILED = "AUTHORIZATION_FAILED"
    AUTHORIZATION_REMOVED = "AUTHORIZATION_REMOVED"
    ACCOUNT_CONNECTED = "ACCOUNT_CONNECTED"
    ACCOUNT_RECONNECTED = "ACCOUNT_RECONNECTED"
    ACCOUNT_DISCONNECTED = "ACCOUNT_DISCONNECTED"
    ACCOUNT_SYNCED = "ACCOUNT_SYNCED"
    ACCOUNT_SYNC_FAILED = "ACCOUNT_SYNC_FAILED"
    SYNC_JOB_STARTED = "SYNC_JOB_STARTED"
    SYNC_JOB_FINISHED = "SYNC_JOB_FINISHED"
    SYNC_JOB_CANCELED = "SYNC_JOB_CANCELED"
    SYNC_JOBS_READ = "SYNC_JOBS_READ"
    TOKEN_REFRESHED = "TOKEN_REFRESHED"  # noqa: S105
    TOKEN_REFRESH_FAILED = "TOKEN_REFRESH_FAILED"  # noqa: S105
    MUTATION_REFUSED = "MUTATION_REFUSED"
    MUTATION_REPEATED = "MUTATION_REPEATED"
    QUERY_REFUSED = "QUERY_REFUSED"


READ_ACTIONS = frozenset(
    {
        AuditAction.ACCOUNTS_LISTED,
        AuditAction.ACCOUNT_READ,
        AuditAction.SUMMARY_READ,
        AuditAction.VIEWER_READ,
        AuditAction.AUDIT_EVENTS_READ,
        AuditAction.SYNC_JOBS_READ,
        AuditAction.QUERY_REFUSED,
    }
)


class AuditActor(StrEnum):
    """Who caused an audit event."""

    USER = "USER"
    SYSTEM = "SYSTEM"
    TIKTOK = "TIKTOK"
