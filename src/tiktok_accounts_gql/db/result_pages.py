"""First pages of the results of several jobs, by one statement that is compiled once for its shape."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, bindparam, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tiktok_accounts_gql.db.keyset import Slice
from tiktok_accounts_gql.db.models import SyncResult
from tiktok_accounts_gql.db.prepared import Row, row_maker
from tiktok_accounts_gql.db.sync_jobs import ResultFilter
from tiktok_accounts_gql.db.tables import table_of


class ResultRow(Row):
    """A result that is only shown: 2,500 objects of the model would take 0.1 s in which nobody else runs."""

    __slots__ = ()


async def read_ends(
    session: AsyncSession, viewer_id: str, job_ids: Sequence[UUID], where: ResultFilter, *, size: int, backward: bool
) -> dict[UUID, Slice[Any]]:
    """The first `size` results of each job in its order, or the last ones if `backward`."""
    found: dict[UUID, list[Any]] = {job_id: [] for job_id in job_ids}
    parts = [_part(number, where, backward=backward).subquery() for number in range(len(job_ids))]
    values = {f"job_{number}": job_id for number, job_id in enumerate(job_ids)}
    rows = await session.execute(
        union_all(*[select(part) for part in parts]), {"of_viewer": viewer_id, "size": size + 1, **values}
    )
    for row in rows:
        found[row.job_id].append(_new_row(row))
    return {job_id: _slice(results, size, backward=backward) for job_id, results in found.items()}


async def count(session: AsyncSession, viewer_id: str, job_ids: Sequence[UUID], where: ResultFilter) -> dict[UUID, int]:
    """How many results each job has."""
    owned = (_results.c.viewer_id == viewer_id, _results.c.job_id.in_(job_ids), *_conditions(where))
    counted = select(_results.c.job_id, func.count()).where(*owned).group_by(_results.c.job_id)
    return dict.fromkeys(job_ids, 0) | {row[0]: row[1] for row in await session.execute(counted)}


def _part(number: int, where: ResultFilter, *, backward: bool) -> Select[Any]:
    owned = (
        _results.c.viewer_id == bindparam("of_viewer", type_=_results.c.viewer_id.type),
        _results.c.job_id == bindparam(f"job_{number}", type_=Uuid()),
    )
    place = _results.c.position.desc() if backward else _results.c.position.asc()
    return select(_results).where(*owned, *_conditions(where)).order_by(place).limit(bindparam("size", type_=Integer))


def _conditions(where: ResultFilter) -> list[Any]:
    return [col(SyncResult.outcome).in_(where.outcomes)] if where.outcomes else []


def _slice(results: list[Any], size: int, *, backward: bool) -> Slice[Any]:
    results.sort(key=lambda result: result.position, reverse=backward)
    more, rows = len(results) > size, results[:size]
    rows = rows[::-1] if backward else rows
    return Slice(rows=rows, has_next=more and not backward, has_previous=more and backward)


_results = table_of(SyncResult)
_new_row = row_maker(ResultRow, _results.c.keys())
