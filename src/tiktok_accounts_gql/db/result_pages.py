"""First pages of the results of several jobs, by one statement."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, bindparam, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.compiled_statement import Row, row_maker
from tiktok_accounts_gql.db.keyset import Slice
from tiktok_accounts_gql.db.models import SyncResult
from tiktok_accounts_gql.db.sync_jobs import ResultFilter
from tiktok_accounts_gql.db.tables import table_of


class ResultRow(Row):
    """A result that is only shown: 2,500 objects of the model would hold the event loop for 0.1 s."""

    __slots__ = ()


async def list_first_pages(
    session: AsyncSession, viewer_id: str, job_ids: Sequence[UUID], filter: ResultFilter, *, size: int, backward: bool
) -> dict[UUID, Slice[Any]]:
    """Return the first `size` results of each job in its order, or the last ones if `backward`."""
    results_by_job: dict[UUID, list[Any]] = {job_id: [] for job_id in job_ids}
    parts = [_select_part(number, filter, backward=backward).subquery() for number in range(len(job_ids))]
    values = {f"job_{number}": job_id for number, job_id in enumerate(job_ids)}
    rows = await session.execute(
        union_all(*[select(part) for part in parts]), {"of_viewer": viewer_id, "size": size + 1, **values}
    )
    for row in rows:
        results_by_job[row.job_id].append(_new_row(row))
    slices = {}
    for job_id, results in results_by_job.items():
        results.sort(key=lambda result: result.position, reverse=backward)
        has_more, page = len(results) > size, results[:size]
        slices[job_id] = Slice(
            rows=page[::-1] if backward else page,
            has_next=has_more and not backward,
            has_previous=has_more and backward,
        )
    return slices


async def count(
    session: AsyncSession, viewer_id: str, job_ids: Sequence[UUID], filter: ResultFilter
) -> dict[UUID, int]:
    """Return the number of results of each job."""
    conditions = (_results.c.viewer_id == viewer_id, _results.c.job_id.in_(job_ids), *_build_conditions(filter))
    statement = select(_results.c.job_id, func.count()).where(*conditions).group_by(_results.c.job_id)
    return dict.fromkeys(job_ids, 0) | {row[0]: row[1] for row in await session.execute(statement)}


def _select_part(number: int, filter: ResultFilter, *, backward: bool) -> Select[Any]:
    """Select the page of the job with this number."""
    is_of_job = (
        _results.c.viewer_id == bindparam("of_viewer", type_=_results.c.viewer_id.type),
        _results.c.job_id == bindparam(f"job_{number}", type_=Uuid()),
    )
    order_by = _results.c.position.desc() if backward else _results.c.position.asc()
    statement = select(_results).where(*is_of_job, *_build_conditions(filter))
    return statement.order_by(order_by).limit(bindparam("size", type_=Integer))


def _build_conditions(filter: ResultFilter) -> list[Any]:
    return [col(SyncResult.outcome).in_(filter.outcomes)] if filter.outcomes else []


_results = table_of(SyncResult)
_new_row = row_maker(ResultRow, _results.c.keys())
