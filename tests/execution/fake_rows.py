"""Rows that keep the schema's promises, and values that break them."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from graphql import GraphQLError

from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.models import (
    Account,
    AccountStatus,
    AuditAction,
    AuditActor,
    AuditEvent,
    HealthReason,
    JobState,
    Snapshot,
    SyncJob,
    SyncOutcome,
    SyncResult,
)
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.history import Growth
from tiktok_accounts_gql.services.viewer import Viewer

VIEWER = Viewer(id="viewer")
NOW = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
KEYS = [UUID(int=number) for number in range(1, 6)]
MALFORMED_ID = "no id"
KNOWN_IDS = [ids.encode(kind, key) for kind in ids.NodeKind if kind is not ids.NodeKind.VIEWER for key in KEYS[:3]]
KNOWN_IDS += [ids.encode(ids.NodeKind.VIEWER, VIEWER.id), ids.encode(ids.NodeKind.VIEWER, "other"), MALFORMED_ID]

INVALID_VALUES: list[Any] = [
    None,
    7,
    -1.5,
    3.0,
    float("nan"),
    float("inf"),
    2**31,
    2**53,
    True,
    "",
    "ACTIVE",
    "\N{SNOWMAN}",
    [],
    [None],
    ["a", 1],
    ("a", "b"),
    {},
    {"name": 1},
    object(),
    AccountStatus.ACTIVE,
    HealthReason.SCOPE_MISSING,
    NOW,
    NOW.replace(tzinfo=None),
    NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
    ValueError("a value"),
    GraphQLError("a located value", extensions={"code": "ODD"}),
    BadUserInput("Not this."),
]


def build_account(key: UUID) -> Account:
    return Account(
        id=key,
        viewer_id=VIEWER.id,
        open_id=f"open-{key.int}",
        username="somebody",
        display_name="Some\u2028body",
        display_name_key="somebody",
        search_text="somebody",
        avatar_hash="abc",
        health_reason=HealthReason.RATE_LIMITED,
        health_since=NOW,
        is_verified=False,
        follower_count=2**40,
        granted_scopes=["user.info.basic"],
        last_synced_at=NOW.replace(microsecond=0),
        created_at=NOW,
        connected_at=NOW,
        updated_at=NOW,
    )


def build_event(key: UUID) -> AuditEvent:
    return AuditEvent(
        id=key,
        viewer_id=VIEWER.id,
        action=AuditAction.ACCOUNT_READ,
        is_change=False,
        created_at=NOW,
        account_id=KEYS[0] if key.int % 2 else None,
        actor=AuditActor.USER,
        details=[{"name": "count", "value": "1", "previousValue": None}],
    )


def build_job(key: UUID) -> SyncJob:
    return SyncJob(
        id=key, viewer_id=VIEWER.id, state=JobState.RUNNING, total_count=3, created_at=NOW, succeeded_count=1
    )


def build_result(key: UUID) -> SyncResult:
    return SyncResult(
        id=key,
        job_id=KEYS[0],
        viewer_id=VIEWER.id,
        position=1,
        turn=1,
        account_id=KEYS[key.int % 3],
        outcome=SyncOutcome.FAILED,
        error_code="SYNC_FAILED" if key.int % 2 else None,
        error_message="It failed.",
    )


def build_snapshot(key: UUID) -> Snapshot:
    return Snapshot(viewer_id=VIEWER.id, account_id=key, recorded_at=NOW, hour=1, follower_count=3)


def build_growth(key: object) -> SimpleNamespace:
    del key
    row = Growth(since=NOW, follower_change=3, follower_change_rate=0.1, likes_change=None, video_change=-(2**40))
    return SimpleNamespace(**{name: getattr(row, name) for name in row.__slots__})


def build_summary(key: object) -> SimpleNamespace:
    del key
    columns = AccountsSummary.__dataclass_fields__
    return SimpleNamespace(**{name: NOW if name.endswith("_at") else 4 for name in columns})
