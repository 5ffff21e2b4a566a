"""The largest sizes of lists, by the arguments of their fields, for the cost of an operation (`execution/cost.py`)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.pagination import DEFAULT_SIZE, MAX_SIZE
from tiktok_accounts_gql.resolvers.nodes import MAX_IDS
from tiktok_accounts_gql.services.history import DEFAULT_PERIOD, MAX_POINTS


def page_size(arguments: Mapping[str, Any]) -> int:
    """Return the number of rows of a page. More than MAX_SIZE are refused by the resolver."""
    first, last = arguments.get("first"), arguments.get("last")
    size = max(DEFAULT_SIZE if first is None and last is None else 0, first or 0, last or 0)
    return min(size, MAX_SIZE)


def id_count(arguments: Mapping[str, Any]) -> int:
    return min(len(arguments["ids"]), MAX_IDS)


def history_length(arguments: Mapping[str, Any]) -> int:
    """Return the number of points of a history. More than MAX_POINTS are refused by the resolver."""
    granularity = arguments["granularity"]
    start: datetime | None = arguments.get("from")
    end: datetime | None = arguments.get("to")
    length = DEFAULT_PERIOD[granularity] if start is None else (end or utc_now()) - start
    if length <= timedelta(0):
        return 0
    return min(int(length / timedelta(hours=granularity)) + 2, MAX_POINTS)  # 2: a part of an hour or day at each end
