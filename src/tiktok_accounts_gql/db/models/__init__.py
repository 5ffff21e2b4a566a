"""The models of the tables. Constraints and indexes are in the migrations too; a test compares the two.

Every index of accounts leaves out disconnected accounts and, but for the schedule's, begins with the viewer. A nullable
sort key is read in two scans (see `keyset.py`), so one index serves both directions with nulls last.
"""

from tiktok_accounts_gql.db.models.accounts import Account, AccountChanges, AccountTotals, Avatar, Snapshot
from tiktok_accounts_gql.db.models.authorizations import ConnectionAttempt, PendingRevocation, TokenPair, WebhookEvent
from tiktok_accounts_gql.db.models.columns import SORT_KEY_LENGTH, VIEWER_LENGTH
from tiktok_accounts_gql.db.models.enums import (
    READ_ACTIONS,
    AccountStatus,
    AuditAction,
    AuditActor,
    HealthAction,
    HealthReason,
    HealthState,
    JobState,
    SyncOutcome,
)
from tiktok_accounts_gql.db.models.jobs import RequestQuota, SyncJob, SyncResult, Worker
from tiktok_accounts_gql.db.models.records import AuditEvent, CostBucket, IdempotencyKey

__all__ = [
    "READ_ACTIONS",
    "SORT_KEY_LENGTH",
    "VIEWER_LENGTH",
    "Account",
    "AccountChanges",
    "AccountStatus",
    "AccountTotals",
    "AuditAction",
    "AuditActor",
    "AuditEvent",
    "Avatar",
    "ConnectionAttempt",
    "CostBucket",
    "HealthAction",
    "HealthReason",
    "HealthState",
    "IdempotencyKey",
    "JobState",
    "PendingRevocation",
    "RequestQuota",
    "Snapshot",
    "SyncJob",
    "SyncOutcome",
    "SyncResult",
    "TokenPair",
    "WebhookEvent",
    "Worker",
]
