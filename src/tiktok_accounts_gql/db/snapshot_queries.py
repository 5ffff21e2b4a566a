"""Queries for the snapshots of all accounts of a page: by one statement, which is compiled once for its shape."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, func, select

from tiktok_accounts_gql.db.account_queries import pad, padded_size
from tiktok_accounts_gql.db.compiled_statement import Row
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.db.tables import table_of

_COUNTERS = ("follower_count", "following_count", "likes_count", "video_count")


class Point(Row):
    """An account's counters at one time. The counters are attributes too."""

    __slots__ = ()

    account_id: UUID
    recorded_at: datetime


class GrowthCounters(NamedTuple):
    """The counters from which growth is computed."""

    recorded_at: datetime
    follower_count: int | None
    likes_count: int | None
    video_count: int | None


class FirstAndLast(NamedTuple):
    """An account's counters in the first and in the last snapshot of a period; two different ones."""

    account_id: UUID
    first: GrowthCounters
    last: GrowthCounters


async def list_points(db: Database, viewer_id: str, account_ids: Collection[UUID], period: Period) -> list[Any]:
    """Return the last snapshot of each bucket of the period, as Points of all these accounts, oldest first."""
    if not account_ids:
        return []
    size = padded_size(len(account_ids))
    statement = db.compile(("points", size, period.hours), lambda: _select_points(size, period.hours), Point)
    times = {"start": period.start, "end": period.end}
    return await db.fetch_in_chunks(statement, {**_build_parameters(viewer_id, account_ids, size), **times})


async def list_first_and_last(
    db: Database, viewer_id: str, account_ids: Collection[UUID], since: datetime
) -> list[FirstAndLast]:
    """Return the ends of those accounts that have two snapshots since then."""
    if not account_ids:
        return []
    size = padded_size(len(account_ids))
    statement = db.compile(("ends of snapshots", size), lambda: _select_first_and_last(size))
    rows = await db.fetch(statement, {**_build_parameters(viewer_id, account_ids, size), "since": since})
    return [FirstAndLast(row[0], GrowthCounters(*row[1:5]), GrowthCounters(*row[5:])) for row in rows]


def _build_parameters(viewer_id: str, account_ids: Collection[UUID], size: int) -> dict[str, Any]:
    ids = pad(account_ids, size)
    return {"of_viewer": viewer_id, **{f"id_{number}": account_id for number, account_id in enumerate(ids)}}


def _is_listed(column: Any, size: int) -> ColumnElement[bool]:
    parameters = [bindparam(f"id_{number}", type_=column.type) for number in range(size)]
    return column.in_(parameters)  # type: ignore[no-any-return]


def _select_points(size: int, hours: int) -> Select[Any]:
    columns = _snapshots.c
    bucket = (columns.account_id, columns.hour // bindparam("hours", hours, Integer, unique=True))
    rank = func.row_number().over(partition_by=bucket, order_by=columns.recorded_at.desc())
    selected = [columns.account_id, columns.recorded_at, *[columns[name] for name in _COUNTERS]]
    ranked = (
        select(*selected, rank.label("rank"))
        .where(
            columns.viewer_id == bindparam("of_viewer", type_=columns.viewer_id.type),
            _is_listed(columns.account_id, size),
            columns.recorded_at >= bindparam("start", type_=columns.recorded_at.type),
            columns.recorded_at < bindparam("end", type_=columns.recorded_at.type),
        )
        .subquery()
    )
    latest = select(*[ranked.c[column.name] for column in selected])
    return latest.where(ranked.c.rank == 1).order_by(ranked.c.recorded_at)


def _select_first_and_last(size: int) -> Select[Any]:
    """Return the statement, which looks up both ends in the index, however many snapshots lie between them."""
    first, last = _snapshots.alias("first"), _snapshots.alias("last")
    viewer = bindparam("of_viewer", type_=_accounts.c.viewer_id.type)
    joined = _accounts.join(first, _is_end(first, viewer, func.min)).join(last, _is_end(last, viewer, func.max))
    counters = [end.c[name].label(f"{end.name}_{name}") for end in (first, last) for name in GrowthCounters._fields]
    is_owned = (_accounts.c.viewer_id == viewer, _is_listed(_accounts.c.id, size))
    statement = select(_accounts.c.id, *counters).select_from(joined)
    return statement.where(*is_owned, first.c.recorded_at < last.c.recorded_at)


def _is_end(snapshot: Any, viewer: Any, aggregate: Any) -> ColumnElement[bool]:
    inner = _snapshots.alias(f"of_{snapshot.name}")
    is_since = inner.c.recorded_at >= bindparam("since", type_=inner.c.recorded_at.type)
    time = select(aggregate(inner.c.recorded_at)).where(
        inner.c.viewer_id == viewer, inner.c.account_id == _accounts.c.id, is_since
    )
    is_end: ColumnElement[bool] = snapshot.c.recorded_at == time.correlate(_accounts).scalar_subquery()
    return and_(snapshot.c.viewer_id == viewer, snapshot.c.account_id == _accounts.c.id, is_end)


_accounts, _snapshots = table_of(Account), table_of(Snapshot)
