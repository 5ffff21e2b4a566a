"""Statements that create sync jobs: a pending result for each account, by one INSERT … SELECT that returns no ids.

A viewer's jobs are created one after another (`lock_viewer_jobs`), so that counts stay true until the commit, and no two
results of a viewer have the same turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, cast, exists, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.accounts import AccountFilter
from tiktok_accounts_gql.db.models import Account, JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.sync_jobs import ResultFilter, select_results
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.viewer_locks import LockScope, lock_viewer

FIRST_TURN = 2  # 1 is the enqueueing of a job's accounts
_UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELING)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedWork:
    """How many of a viewer's jobs have not ended, and how many results are pending."""

    jobs: int
    results: int


async def lock_viewer_jobs(session: AsyncSession, viewer_id: str) -> UnfinishedWork:
    """Let no other transaction create a job for the viewer until this one ends, and return what is unfinished."""
    await lock_viewer(session, viewer_id, LockScope.JOBS)
    jobs = select(func.count()).where(_jobs.c.viewer_id == viewer_id, _jobs.c.state.in_(_UNFINISHED))
    results = select(func.count()).where(_IS_PENDING, _results.c.viewer_id == viewer_id)
    row = (await session.execute(select(jobs.scalar_subquery(), results.scalar_subquery()))).one()
    return UnfinishedWork(jobs=row[0], results=row[1])


def select_connected(viewer_id: str, filter: AccountFilter) -> Select[Any]:
    """Select the accounts of a filter with their positions from 1 on, newest first."""
    position = func.row_number().over(order_by=(col(Account.created_at).desc(), col(Account.id).desc()))
    statement = accounts.select_connected(viewer_id, filter)
    return statement.with_only_columns(col(Account.id), position.label("place"))


def select_failed(viewer_id: str, job_id: UUID) -> Select[Any]:
    """Select the accounts that failed in a job with their positions from 1 on, in the job's order."""
    statement = select_results(viewer_id, job_id, ResultFilter(outcomes=(SyncOutcome.FAILED,)))
    position = func.row_number().over(order_by=col(SyncResult.position))
    return statement.with_only_columns(col(SyncResult.account_id), position.label("place"))


async def count(session: AsyncSession, targets: Select[Any], *, limit: int) -> int:
    """Return the number of targets; `limit + 1` if there are more than `limit`."""
    limited = targets.with_only_columns(literal(1)).limit(limit + 1)
    return (await session.execute(select(func.count()).select_from(limited.subquery()))).scalar_one()


async def add_job(session: AsyncSession, job: SyncJob) -> None:
    await session.execute(insert(_jobs).values(**job.model_dump()))


async def add_selected(session: AsyncSession, job: SyncJob, targets: Select[Any], *, limit: int) -> int:
    """Insert a pending result for each of up to `limit` targets, in the viewer's next turns, and return how many."""
    first_turn = await _get_next_turn(session, job.viewer_id)
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    random_id: Any = (
        func.gen_random_uuid() if is_postgresql else cast(func.lower(func.hex(func.randomblob(16))), Uuid())
    )
    selected = targets.order_by(text("place")).limit(limit).subquery()
    position = selected.c.place - 1
    values = {
        "id": random_id,
        "job_id": literal(job.id, _results.c.job_id.type),
        "viewer_id": literal(job.viewer_id, _results.c.viewer_id.type),
        "position": position,
        "turn": position + literal(first_turn, Integer),
        "account_id": next(iter(selected.c)),
        "outcome": literal(SyncOutcome.PENDING, _results.c.outcome.type),
        "attempts": literal(0, Integer),
        "is_running": literal(value=False),
    }
    statement = insert(_results).from_select(list(values), select(*values.values()).select_from(selected))
    return int((await session.execute(statement)).rowcount)  # type: ignore[attr-defined]


async def add_listed(session: AsyncSession, job: SyncJob, account_ids: Sequence[UUID]) -> int:
    """Insert a pending result for each id, in the viewer's next turns, and return how many.

    The ids are as the caller sent them: `fail_unknown` ends the results of those that are not the viewer's.
    """
    first_turn = await _get_next_turn(session, job.viewer_id)
    rows = [
        SyncResult(
            job_id=job.id,
            viewer_id=job.viewer_id,
            position=position,
            turn=first_turn + position,
            account_id=account_id,
        ).model_dump()
        for position, account_id in enumerate(account_ids)
    ]
    await session.execute(insert(_results), rows)
    return len(rows)


async def fail_unknown(session: AsyncSession, job: SyncJob, *, now: datetime, code: str, message: str) -> int:
    """Fail the job's results whose account has never been the viewer's, and return how many."""
    is_known = exists().where(col(Account.id) == _results.c.account_id, col(Account.viewer_id) == job.viewer_id)
    is_of_job = (_results.c.viewer_id == job.viewer_id, _results.c.job_id == job.id)
    values = {"outcome": SyncOutcome.FAILED, "error_code": code, "error_message": message, "finished_at": now}
    result = await session.execute(update(_results).where(*is_of_job, ~is_known).values(**values))
    return int(result.rowcount)  # type: ignore[attr-defined]


async def _get_next_turn(session: AsyncSession, viewer_id: str) -> int:
    """Return the turn after all of the viewer's own, but no earlier one than all viewers have reached."""
    latest = select(func.max(_results.c.turn)).where(_IS_PENDING, _results.c.viewer_id == viewer_id)
    is_untried = (_IS_PENDING, _results.c.attempts == 0)  # a result that waits for a retry has had its turn
    reached = select(_results.c.turn).where(*is_untried).order_by(_results.c.turn).limit(1)
    row = (await session.execute(select(latest.scalar_subquery(), reached.scalar_subquery()))).one()
    return max(FIRST_TURN, (row[0] or 0) + 1, row[1] or 0)


_jobs, _results = table_of(SyncJob), table_of(SyncResult)
_IS_PENDING = _results.c.outcome == SyncOutcome.PENDING
