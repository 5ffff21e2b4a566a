"""A viewer with many accounts, jobs, snapshots and events, for operations of the highest cost (`costliest.py`)."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from uuid_utils.compat import uuid7

from bench.rows import account_id, account_rows, viewer_id
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import (
    Account,
    AuditAction,
    AuditActor,
    AuditEvent,
    JobState,
    Snapshot,
    SyncJob,
    SyncOutcome,
    SyncResult,
)
from tiktok_accounts_gql.db.snapshots import hour_of
from tiktok_accounts_gql.wiring import migrate_everything

VIEWER = 0
ACCOUNTS = 500
PAGE = 50  # accounts with a history; jobs; results of each job
HOURS = 400  # snapshots by the hour in a history, and DAYS by the day before them
DAYS = 365
EVENTS = 2000


def large_viewer_store(folder: Path, *, days: int = DAYS) -> str:
    """Return the URL of a new SQLite file."""
    url = f"sqlite+aiosqlite:///{folder / 'large_viewer.db'}"
    asyncio.run(_create(url, days))
    return url


async def _create(url: str, days: int) -> None:
    await migrate_everything(url)
    db = Database.open(url)
    await fill(db, days=days)
    await db.close()


async def fill(db: Database, *, days: int = DAYS) -> None:
    """Insert the viewer's rows into a migrated database that has none of them."""
    async with db.transaction() as session:
        for model, rows in (
            (Account, account_rows(VIEWER, ACCOUNTS)),
            (Snapshot, _snapshots(days)),
            (SyncJob, map(_job, range(PAGE))),
            (SyncResult, _results()),
            (AuditEvent, map(_event, range(EVENTS))),
        ):
            await session.execute(insert(model), list(rows))


def _snapshots(days: int) -> Iterator[dict[str, Any]]:
    now = utc_now()
    times = [now - timedelta(hours=hour) for hour in range(HOURS)]
    times += [times[-1] - timedelta(days=day) for day in range(1, days)]
    for number in range(PAGE):
        for age, time in enumerate(times):
            yield {
                "id": uuid7(),
                "viewer_id": viewer_id(VIEWER),
                "account_id": account_id(VIEWER, number),
                "recorded_at": time,
                "hour": hour_of(time),
                "is_thinned": age >= HOURS,
                "follower_count": 10**6 - age,
                "following_count": age,
                "likes_count": 10**9 - age,
                "video_count": 900 - age,
            }


def job_id(number: int) -> UUID:
    return UUID(int=(7 << 76) | (2 << 62) | (1 << 40) | number)


def result_id(job: int, position: int) -> UUID:
    return UUID(int=(7 << 76) | (2 << 62) | (2 << 40) | (job * 1000 + position))


def event_id(number: int) -> UUID:
    return UUID(int=(7 << 76) | (2 << 62) | (3 << 40) | number)


def _job(number: int) -> dict[str, Any]:
    """Return a canceled job, which no mutation changes."""
    time = utc_now() - timedelta(minutes=number)
    return {
        "id": job_id(number),
        "viewer_id": viewer_id(VIEWER),
        "state": JobState.CANCELED,
        "total_count": PAGE,
        "succeeded_count": 0,
        "failed_count": PAGE,
        "canceled_count": 0,
        "created_at": time,
        "started_at": time,
        "finished_at": time,
    }


def _results() -> Iterator[dict[str, Any]]:
    for job in range(PAGE):
        for position in range(PAGE):
            yield {
                "id": result_id(job, position),
                "job_id": job_id(job),
                "viewer_id": viewer_id(VIEWER),
                "position": position,
                "turn": position,
                "account_id": account_id(VIEWER, position),
                "outcome": SyncOutcome.FAILED,
                "error_code": "SYNC_FAILED",
                "error_message": "TikTok answered something that cannot be read.",
                "finished_at": utc_now(),
            }


def _event(number: int) -> dict[str, Any]:
    return {
        "id": event_id(number),
        "viewer_id": viewer_id(VIEWER),
        "action": AuditAction.ACCOUNT_SYNCED,
        "is_change": True,
        "created_at": utc_now() - timedelta(seconds=number),
        "account_id": account_id(VIEWER, number % PAGE),
        "actor": AuditActor.SYSTEM,
        "request_id": f"request-{number}",
        "ip_address": None,
        "details": [
            {"name": f"fact{number_of_fact}", "value": "1", "previousValue": "0"} for number_of_fact in range(10)
        ],
        "account_username": "somebody",
    }
