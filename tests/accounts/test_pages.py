"""Keyset pagination: whatever the data and the page size, the pages are one sorted list."""

import operator
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.folding import fold
from tiktok_accounts_gql.db.models import Account, AccountStatus
from tiktok_accounts_gql.errors import BadUserInput
from tiktok_accounts_gql.pagination import PageRequest
from tiktok_accounts_gql.services.accounts import AccountOrder, AccountPage
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.wiring import Running

pytestmark = pytest.mark.untraced

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
ROW = st.fixed_dictionaries(
    {
        "number": st.integers(0, 5),
        "username": st.none() | st.sampled_from(["ann", "Bob", "éa", "z"]) | NAMES,
        "display_name": st.sampled_from(["Ann", "ann", "Éa"]) | NAMES,
        "follower_count": st.none() | st.integers(0, 3) | st.integers(0, 2**53 - 1),
        "last_synced_at": st.none() | st.integers(0, 3).map(lambda hours: NOON - timedelta(hours=hours)),
        "status": st.sampled_from(AccountStatus),
    }
)
ORDERS = st.builds(AccountOrder, field=st.sampled_from(AccountOrderField), descending=st.booleans())
KEYS: dict[AccountOrderField, Callable[[Account], Any]] = {
    AccountOrderField.CREATED_AT: operator.attrgetter("created_at"),
    AccountOrderField.DISPLAY_NAME: lambda row: fold(row.display_name).encode(),
    AccountOrderField.USERNAME: lambda row: None if row.username is None else fold(row.username).encode(),
    AccountOrderField.FOLLOWER_COUNT: operator.attrgetter("follower_count"),
    AccountOrderField.LAST_SYNCED_AT: operator.attrgetter("last_synced_at"),
}
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def in_order(rows: list[Account], order: AccountOrder) -> list[Any]:
    """What the contract says, in a few lines of Python: nulls last, ties by id."""
    key = KEYS[order.field]
    with_key = [row for row in rows if key(row) is not None]
    without = [row for row in rows if key(row) is None]
    with_key.sort(key=lambda row: (key(row), row.id), reverse=order.descending)
    without.sort(key=lambda row: row.id, reverse=order.descending)
    return [row.id for row in with_key + without]


async def read(running: Running, viewer: str, order: AccountOrder, **page: Any) -> AccountPage:
    asked = {"first": None, "after": None, "last": None, "before": None, **page}
    where = AccountFilter()
    return await running.services.accounts.list(Viewer(id=viewer), PageRequest.of(**asked), where, order)


async def walk_forward(running: Running, viewer: str, order: AccountOrder, size: int) -> list[Any]:
    walked: list[Any] = []
    after = None
    while True:
        page = await read(running, viewer, order, first=size, after=after)
        assert page.page_info.has_previous_page == bool(walked)
        walked += [edge.node.id for edge in page.edges]
        if not page.page_info.has_next_page:
            return walked
        after = page.page_info.end_cursor


async def walk_backward(running: Running, viewer: str, order: AccountOrder, size: int) -> list[Any]:
    walked: list[Any] = []
    before = None
    while True:
        page = await read(running, viewer, order, last=size, before=before)
        assert page.page_info.has_next_page == bool(walked)
        walked = [edge.node.id for edge in page.edges] + walked
        if not page.page_info.has_previous_page:
            return walked
        before = page.page_info.start_cursor


@thorough
@given(data=st.lists(ROW, max_size=14), order=ORDERS, size=st.integers(1, 15))
async def test_walking_forward_and_backward_equals_one_sorted_list(
    running: Running, data: list[dict[str, Any]], order: AccountOrder, size: int
) -> None:
    viewer = uuid4().hex
    rows = await store(running.db, *[account(viewer, **values) for values in data]) if data else []
    expected = in_order(rows, order)
    assert await walk_forward(running, viewer, order, size) == expected
    assert await walk_backward(running, viewer, order, size) == expected


@thorough
@given(data=st.lists(ROW, min_size=3, max_size=9), order=ORDERS, size=st.integers(1, 4), seed=st.integers(0, 2**32))
async def test_rows_that_stay_are_seen_once_while_others_come_and_go(
    running: Running, data: list[dict[str, Any]], order: AccountOrder, size: int, seed: int
) -> None:
    viewer, choice = uuid4().hex, random.Random(seed)
    rows = await store(running.db, *[account(viewer, **values) for values in data])
    leaving = choice.sample(rows, len(rows) // 2)
    staying = [row for row in rows if row not in leaving]
    seen, after = [], None
    while True:
        page = await read(running, viewer, order, first=size, after=after)
        seen += [edge.node.id for edge in page.edges]
        if not page.page_info.has_next_page:
            break
        after = page.page_info.end_cursor
        if leaving:  # the row of the very cursor among them; no newcomers without end, or the walk had none either
            await running.services.accounts.disconnect(Viewer(id=viewer), leaving.pop().id, None)
            await store(running.db, account(viewer, choice.randint(0, 5)))
    stayed = {row.id for row in staying}
    assert [one for one in seen if one in stayed] == in_order(staying, order)
    assert len(seen) == len(set(seen))


@thorough
@given(data=st.lists(ROW, min_size=4, max_size=12), order=ORDERS, size=st.integers(0, 5), seed=st.integers(0, 2**32))
async def test_a_page_between_two_cursors_knows_what_lies_around_it(
    running: Running, data: list[dict[str, Any]], order: AccountOrder, size: int, seed: int
) -> None:
    viewer, choice = uuid4().hex, random.Random(seed)
    rows = await store(running.db, *[account(viewer, **values) for values in data])
    everything = await read(running, viewer, order, first=50)
    start, end = sorted(choice.sample(range(len(rows)), 2))
    between = in_order(rows, order)[start + 1 : end]
    around = {"after": everything.edges[start].cursor, "before": everything.edges[end].cursor}
    forward = await read(running, viewer, order, first=size, **around)
    assert [edge.node.id for edge in forward.edges] == between[:size]
    assert (forward.page_info.has_next_page, forward.page_info.has_previous_page) == (True, True)
    backward = await read(running, viewer, order, last=size, **around)
    assert [edge.node.id for edge in backward.edges] == between[max(len(between) - size, 0) :]
    assert (backward.page_info.has_next_page, backward.page_info.has_previous_page) == (True, True)


async def test_a_cursor_is_the_same_in_every_request(running: Running, viewer: str) -> None:
    await store(running.db, *[account(viewer, number) for number in range(4)])
    order = AccountOrder()
    whole = await read(running, viewer, order, first=4)
    first, second = whole.edges[:2]
    page = await read(running, viewer, order, first=1, after=first.cursor)
    assert page.edges[0].cursor == second.cursor
    last = await read(running, viewer, order, last=3)
    assert last.edges[0].cursor == second.cursor


async def test_an_empty_page_has_no_cursors_and_tells_what_is_around_it(running: Running, viewer: str) -> None:
    await store(running.db, account(viewer, 1), account(viewer, 2))
    empty = await read(running, viewer, AccountOrder(), first=0)
    assert (empty.page_info.start_cursor, empty.page_info.end_cursor) == (None, None)
    assert (empty.page_info.has_next_page, empty.page_info.has_previous_page) == (True, False)
    at_end = await read(running, viewer, AccountOrder(), last=0)
    assert (at_end.page_info.has_next_page, at_end.page_info.has_previous_page) == (False, True)


async def test_a_cursor_of_another_order_is_refused(running: Running, viewer: str) -> None:
    await store(running.db, account(viewer, 1))
    cursor = (await read(running, viewer, AccountOrder(), first=1)).page_info.end_cursor
    refused = partial(read, running, after=cursor)
    for order in (AccountOrder(descending=False), AccountOrder(field=AccountOrderField.LAST_SYNCED_AT)):
        with pytest.raises(BadUserInput):
            await refused(viewer, order)
