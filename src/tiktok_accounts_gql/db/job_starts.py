"""Statements that begin sync jobs: a pending result for each account, by one INSERT … SELECT that no id comes back from.

Each viewer's jobs are begun one after another (`lock_starts`), so that what is counted holds, and turns are theirs alone.
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
from tiktok_accounts_gql.db.sync_jobs import ResultFilter, results_of
from tiktok_accounts_gql.db.tables import table_of
from tiktok_accounts_gql.db.viewer_locks import About, lock_viewer

FIRST_TURN = 2  # 1 is the enqueueing of a job's accounts
_UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a viewer has under way: jobs that have not ended, and results that are pending."""

    jobs: int
    results: int


async def lock_starts(session: AsyncSession, viewer_id: str) -> Load:
    """Until the transaction ends, the viewer begins no other job."""
    await lock_viewer(session, viewer_id, About.JOBS)
    jobs = select(func.count()).where(_jobs.c.viewer_id == viewer_id, _jobs.c.state.in_(_UNFINISHED))
    results = select(func.count()).where(_PENDING, _results.c.viewer_id == viewer_id)
    row = (await session.execute(select(jobs.scalar_subquery(), results.scalar_subquery()))).one()
    return Load(jobs=row[0], results=row[1])


def connected(viewer_id: str, where: AccountFilter) -> Select[Any]:
    """The accounts of a filter and their places, newest first."""
    place = func.row_number().over(order_by=(col(Account.created_at).desc(), col(Account.id).desc()))
    return accounts.connected(viewer_id, where).with_only_columns(col(Account.id), place.label("place"))


def failed_in(viewer_id: str, job_id: UUID) -> Select[Any]:
    """The accounts that failed in a job and their places, in its order."""
    failed = results_of(viewer_id, job_id, ResultFilter(outcomes=(SyncOutcome.FAILED,)))
    place = func.row_number().over(order_by=col(SyncResult.position))
    return failed.with_only_columns(col(SyncResult.account_id), place.label("place"))


async def count(session: AsyncSession, targets: Select[Any], *, most: int) -> int:
    """How many there are; one more than `most` if there are more."""
    some = targets.with_only_columns(literal(1)).limit(most + 1)
    return (await session.execute(select(func.count()).select_from(some.subquery()))).scalar_one()


async def add_job(session: AsyncSession, job: SyncJob) -> None:
    await session.execute(insert(_jobs).values(**job.model_dump()))


async def add_chosen(session: AsyncSession, job: SyncJob, targets: Select[Any], *, most: int) -> int:
    """A pending result for each of the targets, in their order and in the viewer's next turns; how many there are."""
    first = await _next_turn(session, job.viewer_id)
    chosen = targets.order_by(text("place")).limit(most).subquery()
    position = chosen.c.place - 1
    values = {
        "id": _random_id(session),
        "job_id": literal(job.id, _results.c.job_id.type),
        "viewer_id": literal(job.viewer_id, _results.c.viewer_id.type),
        "position": position,
        "turn": position + literal(first, Integer),
        "account_id": next(iter(chosen.c)),
        "outcome": literal(SyncOutcome.PENDING, _results.c.outcome.type),
        "attempts": literal(0, Integer),
        "is_running": literal(value=False),
    }
    added = insert(_results).from_select(list(values), select(*values.values()).select_from(chosen))
    return int((await session.execute(added)).rowcount)  # type: ignore[attr-defined]


async def add_named(session: AsyncSession, job: SyncJob, account_ids: Sequence[UUID]) -> int:
    """As `add_chosen`, for ids as they were given."""
    first = await _next_turn(session, job.viewer_id)
    rows = [
        SyncResult(
            job_id=job.id, viewer_id=job.viewer_id, position=position, turn=first + position, account_id=account_id
        ).model_dump()
        for position, account_id in enumerate(account_ids)
    ]
    await session.execute(insert(_results), rows)
    return len(rows)


async def fail_unknown(session: AsyncSession, job: SyncJob, *, now: datetime, code: str, message: str) -> int:
    """Ends the results whose account never was the viewer's; how many those are."""
    known = exists().where(col(Account.id) == _results.c.account_id, col(Account.viewer_id) == job.viewer_id)
    owned = (_results.c.viewer_id == job.viewer_id, _results.c.job_id == job.id)
    values = {"outcome": SyncOutcome.FAILED, "error_code": code, "error_message": message, "finished_at": now}
    failed = await session.execute(update(_results).where(*owned, ~known).values(**values))
    return int(failed.rowcount)  # type: ignore[attr-defined]


async def _next_turn(session: AsyncSession, viewer_id: str) -> int:
    """After the viewer's own turns, and not before the one that all viewers have come to."""
    own = select(func.max(_results.c.turn)).where(_PENDING, _results.c.viewer_id == viewer_id)
    untried = (_PENDING, _results.c.attempts == 0)  # what waits to be tried again had its turn
    reached = select(_results.c.turn).where(*untried).order_by(_results.c.turn).limit(1)
    row = (await session.execute(select(own.scalar_subquery(), reached.scalar_subquery()))).one()
    return max(FIRST_TURN, (row[0] or 0) + 1, row[1] or 0)


def _random_id(session: AsyncSession) -> Any:
    if session.get_bind().dialect.name == "postgresql":
        return func.gen_random_uuid()
    return cast(func.lower(func.hex(func.randomblob(16))), Uuid())


_jobs, _results = table_of(SyncJob), table_of(SyncResult)
_PENDING = _results.c.outcome == SyncOutcome.PENDING
