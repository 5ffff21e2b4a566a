"""Marks: what equals an earlier one has not changed since."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import delete, update
from sqlmodel import col

from tests.support.backends import on_sqlite
from tests.support.rows import account, store
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.clock import utc_now
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.changes import BELIEVED, Changes, CountedChanges, HeardChanges, open_changes
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.notifications import PING_EVERY, Notifications
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Hub, hash_viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running

Act = Callable[[Session, Account], Awaitable[object]]
ADDRESS = hash_viewer("viewer")


async def heard(changes: Changes, viewer: str, before: object) -> None:
    """The mark has changed, now or soon."""
    async with asyncio.timeout(10):
        while (mark := changes.mark(viewer)) is None or mark == before:  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture(scope="module")
async def changes(settings: Settings) -> AsyncGenerator[Changes]:
    """As another process sees them: it publishes nothing."""
    changes = open_changes(settings.database_url)
    hub = Hub(clock=utc_now)
    notifications = Notifications.open(settings.database_url, hub=hub, changes=changes, clock=utc_now)
    listening = asyncio.create_task(notifications.listen())
    await heard(changes, "viewer", None)
    yield changes
    listening.cancel()
    await asyncio.wait([listening])
    changes.close()


async def change(session: Session, row: Account) -> None:
    await accounts.change(session, row.viewer_id, row.id, follower_count=7)


async def change_by_sql(session: Session, row: Account) -> None:
    await session.execute(update(Account).where(col(Account.id) == row.id).values(likes_count=7))


async def remove(session: Session, row: Account) -> None:
    await session.execute(delete(Account).where(col(Account.id) == row.id))


async def add(session: Session, row: Account) -> None:
    session.add(account(row.viewer_id, 2))


async def give_away(session: Session, row: Account) -> None:
    values = {"viewer_id": f"not {row.viewer_id}"}
    await session.execute(update(Account).where(col(Account.id) == row.id).values(values))


@pytest.mark.parametrize("act", [change, change_by_sql, remove, add, give_away])
async def test_every_change_of_an_account_changes_its_viewers_mark(
    changes: Changes, running: Running, viewer: str, act: Act
) -> None:
    [row] = await store(running.db, account(viewer))
    await asyncio.sleep(0.2)
    before, others = changes.mark(viewer), changes.mark("somebody else")
    async with running.db.transaction() as session:
        await act(session, row)
        await session.flush()
        assert changes.mark(viewer) == before  # until it commits
    await heard(changes, viewer, before)
    assert changes.mark("somebody else") == others


async def test_who_gets_an_account_is_told_as_well(changes: Changes, running: Running, viewer: str) -> None:
    [row] = await store(running.db, account(viewer))
    before = changes.mark(f"not {viewer}")
    async with running.db.transaction() as session:
        await give_away(session, row)
    await heard(changes, f"not {viewer}", before)


async def test_what_is_rolled_back_changes_nothing(changes: Changes, running: Running, viewer: str) -> None:
    [row] = await store(running.db, account(viewer))
    await asyncio.sleep(0.2)
    before = changes.mark(viewer)
    with suppress(ZeroDivisionError):
        async with running.db.transaction() as session:
            await change(session, row)
            raise ZeroDivisionError
    await asyncio.sleep(0.2)
    assert changes.mark(viewer) == before


async def test_names_of_viewers_may_be_any_text(changes: Changes, running: Running) -> None:
    viewer = f"\U0001f469 '\" {uuid4().hex}"
    before = changes.mark(viewer)
    await store(running.db, account(viewer))
    await heard(changes, viewer, before)


async def test_a_process_marks_its_own_change_before_it_goes_on(running: Running, tiktok: TikTok, viewer: str) -> None:
    """On PostgreSQL too, where its message has yet to come back."""
    changes = running.changes
    if isinstance(changes, HeardChanges):
        changes.believe(float("inf"))  # nobody listens here
    before = changes.mark(viewer)
    await tiktok.connect(viewer)
    assert changes.mark(viewer) not in (before, None)
    if isinstance(changes, HeardChanges):
        changes.lose()


def test_nothing_is_known_before_anything_was_heard_and_after_a_silence() -> None:
    now = 100.0
    changes = HeardChanges(monotonic=lambda: now)
    changes.begin()
    assert changes.mark("viewer") is None
    changes.believe(now)
    assert changes.mark("viewer") is not None
    now += BELIEVED.total_seconds()
    assert changes.mark("viewer") is None
    assert BELIEVED > 2 * PING_EVERY


def test_nothing_from_before_a_silence_is_as_it_was() -> None:
    changes = HeardChanges(monotonic=lambda: 0.0)
    changes.begin()
    changes.believe(0.0)
    before = changes.mark("viewer")
    changes.lose()
    assert changes.mark("viewer") is None
    changes.begin()
    changes.believe(0.0)
    assert changes.mark("viewer") not in (before, None)


@pytest.mark.parametrize(("told", "same"), [(ADDRESS, False), (hash_viewer("viewer 2"), True), ("what?", False)])
def test_only_the_own_place_counts_unless_a_message_cannot_be_read(told: str, same: bool) -> None:
    changes = HeardChanges(monotonic=lambda: 0.0)
    changes.believe(0.0)
    before = changes.mark("viewer")
    changes.changed(told)
    assert (changes.mark("viewer") == before) is same


@on_sqlite
async def test_without_the_table_nothing_is_known(backend: str, tmp_path: Any) -> None:
    changes = CountedChanges(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}")
    assert changes.mark("viewer") is None
    changes.close()


@on_sqlite
async def test_a_file_that_is_locked_is_not_waited_for(own_settings: Settings) -> None:
    changes = open_changes(own_settings.database_url)
    assert changes.mark("viewer") is not None
    path = own_settings.database_url.partition("///")[2]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert changes.mark("viewer") is not None  # writers are no hindrance
    other.close()
    changes.close()


async def test_an_event_of_an_account_is_not_needed(running: Running, changes: Changes, viewer: str) -> None:
    """Whoever publishes without having changed anything costs at most a reading."""
    event = AccountChanged(account_id=uuid4(), kind=ChangeKind.UPDATED)
    before = changes.mark(viewer)
    async with running.db.transaction() as session:
        running.notifications.publish(session, viewer, event)
    await asyncio.sleep(0.1)
    assert changes.mark(viewer) == before
