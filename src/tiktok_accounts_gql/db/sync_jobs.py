"""Statements about sync jobs and their results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import Select, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.keyset import Ordering
from tiktok_accounts_gql.db.models import JobState, SyncJob, SyncOutcome, SyncResult
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.errors import NotFound

NEWEST_FIRST = Ordering(name="sync jobs", column=col(SyncJob.created_at), id=col(SyncJob.id), descending=True)
IN_ORDER = Ordering(name="sync results", column=col(SyncResult.position), id=col(SyncResult.id), descending=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions that must all hold; an empty one is ignored."""

    states: tuple[JobState, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """Conditions that must all hold; an empty one is ignored."""

    outcomes: tuple[SyncOutcome, ...] = ()


class JobUpdate(TypedDict, total=False):
    """New values of a job's columns."""

    state: JobState
    total_count: int
    failed_count: int
    canceled_count: int
    finished_at: datetime


class ResultUpdate(TypedDict, total=False):
    """New values of a result's columns."""

    attempts: int
    error_code: str | None
    error_message: str | None
    finished_at: datetime


class EndedJob(NamedTuple):
    """A job that has ended, and when."""

    finished_at: datetime
    id: UUID


class PendingResult(NamedTuple):
    """A result that is to be enqueued."""

    id: UUID
    turn: int


def select_jobs(viewer_id: str, filter: JobFilter) -> Select[SyncJob]:
    conditions = [col(SyncJob.state).in_(filter.states)] if filter.states else []
    return select(SyncJob).where(col(SyncJob.viewer_id) == viewer_id, *conditions)


def select_results(viewer_id: str, job_id: UUID, filter: ResultFilter) -> Select[SyncResult]:
    conditions = [col(SyncResult.outcome).in_(filter.outcomes)] if filter.outcomes else []
    is_of_job = (col(SyncResult.viewer_id) == viewer_id, col(SyncResult.job_id) == job_id)
    return select(SyncResult).where(*is_of_job, *conditions)


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    """Return the number of a statement's rows."""
    return (await session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()


async def get(session: AsyncSession, viewer_id: str, job_id: UUID, *, lock: bool = False) -> SyncJob:
    """Return the job; with `lock`, no other transaction can change it until this one ends. Raises NotFound."""
    statement = select(SyncJob).where(col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id)
    if lock:
        statement = statement.with_for_update(key_share=True)
    job = await session.scalar(statement, execution_options=_FRESH)
    if job is None:
        raise NotFound
    return job


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[SyncJob]:
    return (await session.scalars(select_jobs(viewer_id, JobFilter()).where(col(SyncJob.id).in_(ids)))).all()


async def list_results_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[SyncResult]:
    statement = select(SyncResult).where(col(SyncResult.viewer_id) == viewer_id, col(SyncResult.id).in_(ids))
    return (await session.scalars(statement)).all()


async def list_pending(session: AsyncSession, viewer_id: str, job_id: UUID) -> Sequence[PendingResult]:
    """Return the job's pending results in its order."""
    is_of_job = (_results.c.viewer_id == viewer_id, _results.c.job_id == job_id)
    statement = select(_results.c.id, _results.c.turn).where(*is_of_job, _IS_PENDING).order_by(_results.c.position)
    return [PendingResult(*row) for row in await session.execute(statement)]


async def begin_results(session: AsyncSession, keys: Sequence[tuple[str, UUID]]) -> list[SyncResult | None]:
    """Begin an attempt at each result, named by viewer and id. Return them in the same order; None if not pending.

    An attempt that a process has begun before it died is not counted again.
    """
    attempts = case((_results.c.is_running, _results.c.attempts), else_=_results.c.attempts + 1)
    viewers, ids = zip(*keys, strict=True)  # not as pairs, for which SQLite uses no index
    is_named = (_results.c.viewer_id.in_(set(viewers)), _results.c.id.in_(ids))
    statement = update(_results).where(*is_named, _IS_PENDING).values(attempts=attempts, is_running=True)
    rows = await session.execute(statement.returning(_results))
    results = [SyncResult(**row._mapping) for row in rows]  # noqa: SLF001 - public, but for its name
    results_by_key = {(result.viewer_id, result.id): result for result in results}
    return [results_by_key.get(key) for key in keys]


async def mark_started(session: AsyncSession, viewer_id: str, job_id: UUID, now: datetime) -> bool:
    """Return False if the job was started already."""
    is_waiting = (col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id, col(SyncJob.started_at).is_(None))
    running = case((col(SyncJob.state) == JobState.QUEUED, JobState.RUNNING.value), else_=col(SyncJob.state))
    statement = update(SyncJob).where(*is_waiting).values(started_at=now, state=running).returning(col(SyncJob.id))
    return await session.scalar(statement, execution_options=_UNSYNCHRONIZED) is not None


async def end_results(
    session: AsyncSession,
    viewer_id: str,
    result_ids: Sequence[UUID],
    outcome: SyncOutcome,
    **values: Unpack[ResultUpdate],
) -> bool:
    """End results. Return False if one had ended already: then the transaction must be rolled back, for it is a repetition."""
    is_named = (_results.c.viewer_id == viewer_id, _results.c.id.in_(result_ids))
    statement = update(_results).where(*is_named, _IS_PENDING).returning(_results.c.id)
    ended_ids = await session.scalars(statement.values(outcome=outcome, is_running=False, **values))
    return len(ended_ids.all()) == len(result_ids)


async def pause_result(session: AsyncSession, viewer_id: str, result_id: UUID, **values: Unpack[ResultUpdate]) -> bool:
    """Pause a result until its next attempt. Return False if it had ended already, as `end_results` does."""
    is_pending = (col(SyncResult.viewer_id) == viewer_id, col(SyncResult.id) == result_id, _IS_PENDING)
    statement = update(SyncResult).where(*is_pending).values(is_running=False, **values).returning(col(SyncResult.id))
    return await session.scalar(statement, execution_options=_UNSYNCHRONIZED) is not None


async def cancel_pending(session: AsyncSession, viewer_id: str, job_id: UUID, now: datetime) -> int:
    """Cancel the job's pending results, but for those that are running, and return how many."""
    is_cancelable = (
        col(SyncResult.viewer_id) == viewer_id,
        col(SyncResult.job_id) == job_id,
        _IS_PENDING,
        col(SyncResult.is_running).is_(False),
    )
    values = {"outcome": SyncOutcome.CANCELED, "finished_at": now}
    statement = update(SyncResult).where(*is_cancelable).values(**values).returning(col(SyncResult.id))
    return len((await session.scalars(statement, execution_options=_UNSYNCHRONIZED)).all())


async def add_counts(session: AsyncSession, viewer_id: str, job_id: UUID, ended: Mapping[SyncOutcome, int]) -> SyncJob:
    """Add the numbers of results that have ended to the job's counts, and return it, locked. Raises NotFound."""
    columns = {f"{outcome.value.lower()}_count": number for outcome, number in ended.items()}
    values = {column: _jobs.c[column] + number for column, number in columns.items()}
    is_named = (_jobs.c.viewer_id == viewer_id, _jobs.c.id == job_id)
    row = (await session.execute(update(_jobs).where(*is_named).values(values).returning(_jobs))).one_or_none()
    if row is None:
        raise NotFound
    return SyncJob(**row._mapping)  # noqa: SLF001 - public, but for its name


async def change(session: AsyncSession, viewer_id: str, job_id: UUID, **values: Unpack[JobUpdate]) -> SyncJob:
    """Update a job and return it. Raises NotFound."""
    is_named = (col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id)
    statement = update(SyncJob).where(*is_named).values(**values).returning(SyncJob)
    job = await session.scalar(statement, execution_options=_FRESH)
    if job is None:
        raise NotFound
    return job


async def count_ahead(session: AsyncSession, viewer_id: str, job_id: UUID) -> int:
    """Return how many accounts of all viewers are read before the job has ended, its own included."""
    last = select_results(viewer_id, job_id, ResultFilter()).with_only_columns(col(SyncResult.turn))
    last_turn = last.order_by(col(SyncResult.position).desc()).limit(1).scalar_subquery()
    return await count(session, select(SyncResult).where(_IS_PENDING, col(SyncResult.turn) <= last_turn))


async def list_ended(
    session: AsyncSession, *, before: datetime, after: EndedJob | None, limit: int
) -> Sequence[EndedJob]:
    """Return jobs of all viewers that ended before a time, in the order of their end; those behind `after`, if given."""
    end, job_id = _jobs.c.finished_at, _jobs.c.id
    is_behind = () if after is None else (end >= after.finished_at, or_(end > after.finished_at, job_id > after.id))
    statement = select(end, job_id).where(end < before, *is_behind).order_by(end, job_id).limit(limit)
    return [EndedJob(*row) for row in await session.execute(statement)]


async def delete_jobs(session: AsyncSession, job_ids: Collection[UUID]) -> None:
    """Delete jobs and their results."""
    await session.execute(delete(SyncJob).where(col(SyncJob.id).in_(job_ids)), execution_options=_UNSYNCHRONIZED)


_jobs, _results = table_of(SyncJob), table_of(SyncResult)
_IS_PENDING = _results.c.outcome == SyncOutcome.PENDING
_FRESH = {"populate_existing": True}
_UNSYNCHRONIZED = {"synchronize_session": False}
