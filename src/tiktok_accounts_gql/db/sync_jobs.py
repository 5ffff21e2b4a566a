"""Statements about sync jobs and their results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
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
    """Conditions that all have to hold; an empty one is none."""

    states: tuple[JobState, ...] = ()


class Ended(NamedTuple):
    """A job that has."""

    finished_at: datetime
    id: UUID


class Pending(NamedTuple):
    """A result that is to be enqueued."""

    id: UUID
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """Conditions that all have to hold; an empty one is none."""

    outcomes: tuple[SyncOutcome, ...] = ()


def of_viewer(viewer_id: str, where: JobFilter) -> Select[SyncJob]:
    states = [col(SyncJob.state).in_(where.states)] if where.states else []
    return select(SyncJob).where(col(SyncJob.viewer_id) == viewer_id, *states)


def results_of(viewer_id: str, job_id: UUID, where: ResultFilter) -> Select[SyncResult]:
    outcomes = [col(SyncResult.outcome).in_(where.outcomes)] if where.outcomes else []
    owned = (col(SyncResult.viewer_id) == viewer_id, col(SyncResult.job_id) == job_id)
    return select(SyncResult).where(*owned, *outcomes)


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    return (await session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()


async def get(session: AsyncSession, viewer_id: str, job_id: UUID, *, lock: bool = False) -> SyncJob:
    """Raises NotFound."""
    owned = select(SyncJob).where(col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id)
    job = await session.scalar(owned.with_for_update(key_share=True) if lock else owned, execution_options=_FRESH)
    if job is None:
        raise NotFound
    return job


async def list_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[SyncJob]:
    return (await session.scalars(of_viewer(viewer_id, JobFilter()).where(col(SyncJob.id).in_(ids)))).all()


async def list_results_by_ids(session: AsyncSession, viewer_id: str, ids: Collection[UUID]) -> Sequence[SyncResult]:
    owned = (col(SyncResult.viewer_id) == viewer_id, col(SyncResult.id).in_(ids))
    return (await session.scalars(select(SyncResult).where(*owned))).all()


async def list_pending(session: AsyncSession, viewer_id: str, job_id: UUID) -> Sequence[Pending]:
    """In the job's order."""
    owned = (_results.c.viewer_id == viewer_id, _results.c.job_id == job_id)
    pending = select(_results.c.id, _results.c.turn).where(*owned, _PENDING).order_by(_results.c.position)
    return [Pending(*row) for row in await session.execute(pending)]


async def begin(session: AsyncSession, results: Sequence[tuple[str, UUID]]) -> list[SyncResult | None]:
    """Each result, named by its viewer and its id, if it still has its turn.

    Counts the attempt, but for one that a dead process had begun.
    """
    attempts = case((_results.c.is_running, _results.c.attempts), else_=_results.c.attempts + 1)
    viewers, ids = zip(*results, strict=True)  # not by pairs, which SQLite finds by no index
    owned = (_results.c.viewer_id.in_(set(viewers)), _results.c.id.in_(ids))
    begin = update(_results).where(*owned, _PENDING).values(attempts=attempts, is_running=True).returning(_results)
    rows = [SyncResult(**row._mapping) for row in await session.execute(begin)]  # noqa: SLF001 - public, but for its name
    begun = {(result.viewer_id, result.id): result for result in rows}
    return [begun.get(result) for result in results]


async def mark_started(session: AsyncSession, viewer_id: str, job_id: UUID, now: datetime) -> bool:
    """False if it had begun already."""
    waiting = (col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id, col(SyncJob.started_at).is_(None))
    running = case((col(SyncJob.state) == JobState.QUEUED, JobState.RUNNING.value), else_=col(SyncJob.state))
    started = update(SyncJob).where(*waiting).values(started_at=now, state=running).returning(col(SyncJob.id))
    return await session.scalar(started, execution_options=_UNSYNCHRONIZED) is not None


async def end(
    session: AsyncSession, viewer_id: str, result_ids: Sequence[UUID], outcome: SyncOutcome, **values: Any
) -> bool:
    """False if one of them had ended already: then nothing else of the transaction may happen twice either."""
    owned = (_results.c.viewer_id == viewer_id, _results.c.id.in_(result_ids))
    pending = update(_results).where(*owned, _PENDING).returning(_results.c.id)
    ended = await session.scalars(pending.values(outcome=outcome, is_running=False, **values))
    return len(ended.all()) == len(result_ids)


async def pause(session: AsyncSession, viewer_id: str, result_id: UUID, **values: Any) -> bool:
    """Until its next attempt. False as `end` says it."""
    paused = update(SyncResult).where(*_pending(viewer_id, result_id)).values(is_running=False, **values)
    return await session.scalar(paused.returning(col(SyncResult.id)), execution_options=_UNSYNCHRONIZED) is not None


async def cancel_waiting(session: AsyncSession, viewer_id: str, job_id: UUID, now: datetime) -> int:
    """Every result that is not being read at this moment; returns how many."""
    waiting = (
        col(SyncResult.viewer_id) == viewer_id,
        col(SyncResult.job_id) == job_id,
        _PENDING,
        col(SyncResult.is_running).is_(False),
    )
    values = {"outcome": SyncOutcome.CANCELED, "finished_at": now}
    canceled = update(SyncResult).where(*waiting).values(**values).returning(col(SyncResult.id))
    return len((await session.scalars(canceled, execution_options=_UNSYNCHRONIZED)).all())


async def count_more(session: AsyncSession, viewer_id: str, job_id: UUID, ended: Mapping[SyncOutcome, int]) -> SyncJob:
    """The job as it is then, with so many more accounts that have come to their end; locked. Raises NotFound."""
    counts = (f"{outcome.value.lower()}_count" for outcome in ended)
    more = {count: _jobs.c[count] + number for count, number in zip(counts, ended.values(), strict=True)}
    counted = update(_jobs).where(_jobs.c.viewer_id == viewer_id, _jobs.c.id == job_id).values(more).returning(_jobs)
    row = (await session.execute(counted)).one_or_none()
    if row is None:
        raise NotFound
    return SyncJob(**row._mapping)  # noqa: SLF001 - public, but for its name


async def change(session: AsyncSession, viewer_id: str, job_id: UUID, **values: Any) -> SyncJob:
    """The job after the change. Raises NotFound."""
    owned = (col(SyncJob.viewer_id) == viewer_id, col(SyncJob.id) == job_id)
    changed = update(SyncJob).where(*owned).values(**values).returning(SyncJob)
    job = await session.scalar(changed, execution_options=_FRESH)
    if job is None:
        raise NotFound
    return job


async def count_ahead(session: AsyncSession, viewer_id: str, job_id: UUID) -> int:
    """Accounts of all viewers that are read before the job has ended, its own included."""
    ends = results_of(viewer_id, job_id, ResultFilter()).with_only_columns(col(SyncResult.turn))
    last = ends.order_by(col(SyncResult.position).desc()).limit(1).scalar_subquery()
    ahead = select(SyncResult).where(_PENDING, col(SyncResult.turn) <= last)
    return await count(session, ahead)


async def list_ended(session: AsyncSession, *, before: datetime, after: Ended | None, limit: int) -> Sequence[Ended]:
    """Jobs of all viewers that ended before that, in the order of their end; those behind `after` if it is given."""
    end, job_id = _jobs.c.finished_at, _jobs.c.id
    behind = () if after is None else (end >= after.finished_at, or_(end > after.finished_at, job_id > after.id))
    old = select(end, job_id).where(end < before, *behind).order_by(end, job_id).limit(limit)
    return [Ended(*row) for row in await session.execute(old)]


async def forget(session: AsyncSession, job_ids: Collection[UUID]) -> None:
    """With their results."""
    await session.execute(delete(SyncJob).where(col(SyncJob.id).in_(job_ids)), execution_options=_UNSYNCHRONIZED)


_jobs, _results = table_of(SyncJob), table_of(SyncResult)
_PENDING = _results.c.outcome == SyncOutcome.PENDING
_FRESH = {"populate_existing": True}
_UNSYNCHRONIZED = {"synchronize_session": False}


def _pending(viewer_id: str, result_id: UUID) -> tuple[Any, Any, Any]:
    owned = (col(SyncResult.viewer_id) == viewer_id, col(SyncResult.id) == result_id)
    return *owned, _PENDING
