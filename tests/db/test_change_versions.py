"""Change versions: as long as a version is the same, the accounts are."""

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
from tiktok_accounts_gql.db.change_versions import (
    FRESH_FOR,
    ChangeVersions,
    NotifyChangeVersions,
    SqliteChangeVersions,
    open_change_versions,
)
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.db.notifications import PING_INTERVAL, Notifications
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Hub, hash_viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running

Act = Callable[[Session, Account], Awaitable[object]]
ADDRESS = hash_viewer("viewer")


async def wait_for_change(changes: ChangeVersions, viewer: str, before: object) -> None:
    """Wait until the version is not `before` any more."""
    async with asyncio.timeout(10):
        while (version := changes.get(viewer)) is None or version == before:  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture(scope="module")
async def changes(settings: Settings) -> AsyncGenerator[ChangeVersions]:
    """Open the versions as another process sees them."""
    changes = open_change_versions(settings.database_url)
    hub = Hub(clock=utc_now)
    notifications = Notifications.open(settings.database_url, hub=hub, changes=changes, clock=utc_now)
    listening = asyncio.create_task(notifications.listen())
    await wait_for_change(changes, "viewer", None)
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
async def test_every_change_of_an_account_changes_its_viewers_version(
    changes: ChangeVersions, running: Running, viewer: str, act: Act
) -> None:
    [row] = await store(running.db, account(viewer))
    await asyncio.sleep(0.2)
    before, unrelated = changes.get(viewer), changes.get("another viewer")
    async with running.db.transaction() as session:
        await act(session, row)
        await session.flush()
        assert changes.get(viewer) == before  # until it commits
    await wait_for_change(changes, viewer, before)
    assert changes.get("another viewer") == unrelated


async def test_a_moved_account_changes_the_version_of_its_new_viewer(
    changes: ChangeVersions, running: Running, viewer: str
) -> None:
    [row] = await store(running.db, account(viewer))
    before = changes.get(f"not {viewer}")
    async with running.db.transaction() as session:
        await give_away(session, row)
    await wait_for_change(changes, f"not {viewer}", before)


async def test_a_rolled_back_change_changes_no_version(changes: ChangeVersions, running: Running, viewer: str) -> None:
    [row] = await store(running.db, account(viewer))
    await asyncio.sleep(0.2)
    before = changes.get(viewer)
    with suppress(ZeroDivisionError):
        async with running.db.transaction() as session:
            await change(session, row)
            raise ZeroDivisionError
    await asyncio.sleep(0.2)
    assert changes.get(viewer) == before


async def test_names_of_viewers_may_be_any_text(changes: ChangeVersions, running: Running) -> None:
    viewer = f"\U0001f469 '\" {uuid4().hex}"
    before = changes.get(viewer)
    await store(running.db, account(viewer))
    await wait_for_change(changes, viewer, before)


async def test_a_process_counts_its_own_change_before_it_responds(
    running: Running, tiktok: TikTok, viewer: str
) -> None:
    """On PostgreSQL too, where its own notification has not arrived yet."""
    changes = running.changes
    if isinstance(changes, NotifyChangeVersions):
        changes.mark_fresh(float("inf"))  # nothing listens in this test
    before = changes.get(viewer)
    await tiktok.connect(viewer)
    assert changes.get(viewer) not in (before, None)
    if isinstance(changes, NotifyChangeVersions):
        changes.mark_stale()


def test_versions_are_unknown_before_the_first_check_and_when_they_are_stale() -> None:
    now = 100.0
    changes = NotifyChangeVersions(monotonic=lambda: now)
    changes.reset()
    assert changes.get("viewer") is None
    changes.mark_fresh(now)
    assert changes.get("viewer") is not None
    now += FRESH_FOR.total_seconds()
    assert changes.get("viewer") is None
    assert FRESH_FOR > 2 * PING_INTERVAL


def test_a_version_from_before_a_lost_connection_is_invalid() -> None:
    changes = NotifyChangeVersions(monotonic=lambda: 0.0)
    changes.reset()
    changes.mark_fresh(0.0)
    before = changes.get("viewer")
    changes.mark_stale()
    assert changes.get("viewer") is None
    changes.reset()
    changes.mark_fresh(0.0)
    assert changes.get("viewer") not in (before, None)


@pytest.mark.parametrize(("address", "is_same"), [(ADDRESS, False), (hash_viewer("viewer 2"), True), ("what?", False)])
def test_only_the_viewers_slot_counts_unless_a_message_is_malformed(address: str, is_same: bool) -> None:
    changes = NotifyChangeVersions(monotonic=lambda: 0.0)
    changes.mark_fresh(0.0)
    before = changes.get("viewer")
    changes.count_change(address)
    assert (changes.get("viewer") == before) is is_same


@on_sqlite
async def test_versions_are_unknown_without_the_table(backend: str, tmp_path: Any) -> None:
    changes = SqliteChangeVersions(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}")
    assert changes.get("viewer") is None
    changes.close()


@on_sqlite
async def test_a_locked_file_does_not_block(own_settings: Settings) -> None:
    changes = open_change_versions(own_settings.database_url)
    assert changes.get("viewer") is not None
    path = own_settings.database_url.partition("///")[2]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert changes.get("viewer") is not None  # a writer does not block readers
    other.close()
    changes.close()


async def test_an_event_without_a_change_changes_no_version(
    running: Running, changes: ChangeVersions, viewer: str
) -> None:
    """An event that no change has caused costs at most one query."""
    event = AccountChanged(account_id=uuid4(), kind=ChangeKind.UPDATED)
    before = changes.get(viewer)
    async with running.db.transaction() as session:
        running.notifications.publish(session, viewer, event)
    await asyncio.sleep(0.1)
    assert changes.get(viewer) == before
