"""Reading snapshots as plain rows: of all accounts of a page by one statement, which is compiled once for its shape."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, func, select

from tiktok_accounts_gql.db.account_rows import filled_slots, slots_for
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, Snapshot
from tiktok_accounts_gql.db.prepared import Row
from tiktok_accounts_gql.db.snapshots import Period
from tiktok_accounts_gql.db.tables import table_of

_COUNTERS = ("follower_count", "following_count", "likes_count", "video_count")


class Point(Row):
    """An account's counters at one time; the counters are columns of it too."""

    __slots__ = ()

    account_id: UUID
    recorded_at: datetime


class Counters(NamedTuple):
    """What growth is made of."""

    recorded_at: datetime
    follower_count: int | None
    likes_count: int | None
    video_count: int | None


class Ends(NamedTuple):
    """An account's first and last counters since some time; two different ones."""

    account_id: UUID
    first: Counters
    last: Counters


async def list_points(db: Database, viewer_id: str, account_ids: Collection[UUID], period: Period) -> list[Any]:
    """The last snapshot of each hour or day that has one, as a Point, of all these accounts, oldest first."""
    if not account_ids:
        return []
    slots = slots_for(len(account_ids))
    prepared = db.prepare(("points", slots, period.hours), lambda: _points(slots, period.hours), Point)
    times = {"start": period.start, "end": period.end}
    return await db.fetch_many(prepared, {**_owned(viewer_id, account_ids, slots), **times})


async def list_ends(db: Database, viewer_id: str, account_ids: Collection[UUID], since: datetime) -> list[Ends]:
    """Of those of these accounts that have two snapshots since then."""
    if not account_ids:
        return []
    slots = slots_for(len(account_ids))
    prepared = db.prepare(("ends of snapshots", slots), lambda: _ends(slots))
    rows = await db.fetch(prepared, {**_owned(viewer_id, account_ids, slots), "since": since})
    return [Ends(row[0], Counters(*row[1:5]), Counters(*row[5:])) for row in rows]


def _owned(viewer_id: str, account_ids: Collection[UUID], slots: int) -> dict[str, Any]:
    ids = filled_slots(account_ids, slots)
    return {"of_viewer": viewer_id, **{f"id_{number}": one for number, one in enumerate(ids)}}


def _asked(column: Any, slots: int) -> ColumnElement[bool]:
    asked: ColumnElement[bool] = column.in_([bindparam(f"id_{number}", type_=column.type) for number in range(slots)])
    return asked


def _points(slots: int, hours: int) -> Select[Any]:
    own = _snapshots.c
    bucket = (own.account_id, own.hour // bindparam("hours", hours, Integer, unique=True))
    latest = func.row_number().over(partition_by=bucket, order_by=own.recorded_at.desc())
    columns = [own.account_id, own.recorded_at, *[own[name] for name in _COUNTERS]]
    ranked = (
        select(*columns, latest.label("rank"))
        .where(
            own.viewer_id == bindparam("of_viewer", type_=own.viewer_id.type),
            _asked(own.account_id, slots),
            own.recorded_at >= bindparam("start", type_=own.recorded_at.type),
            own.recorded_at < bindparam("end", type_=own.recorded_at.type),
        )
        .subquery()
    )
    chosen = select(*[ranked.c[column.name] for column in columns])
    return chosen.where(ranked.c.rank == 1).order_by(ranked.c.recorded_at)


def _ends(slots: int) -> Select[Any]:
    """Each end is looked up in the index, however many snapshots lie between."""
    first, last = _snapshots.alias("first"), _snapshots.alias("last")
    viewer = bindparam("of_viewer", type_=_accounts.c.viewer_id.type)
    joined = _accounts.join(first, _is_end(first, viewer, func.min)).join(last, _is_end(last, viewer, func.max))
    shown = [of.c[name].label(f"{of.name}_{name}") for of in (first, last) for name in Counters._fields]
    ends = select(_accounts.c.id, *shown).select_from(joined)
    own = (_accounts.c.viewer_id == viewer, _asked(_accounts.c.id, slots))
    return ends.where(*own, first.c.recorded_at < last.c.recorded_at)


def _is_end(of: Any, viewer: Any, choose: Any) -> ColumnElement[bool]:
    inner = _snapshots.alias(f"of_{of.name}")
    since = inner.c.recorded_at >= bindparam("since", type_=inner.c.recorded_at.type)
    time = select(choose(inner.c.recorded_at)).where(
        inner.c.viewer_id == viewer, inner.c.account_id == _accounts.c.id, since
    )
    end: ColumnElement[bool] = of.c.recorded_at == time.correlate(_accounts).scalar_subquery()
    return and_(of.c.viewer_id == viewer, of.c.account_id == _accounts.c.id, end)


_accounts, _snapshots = table_of(Account), table_of(Snapshot)
