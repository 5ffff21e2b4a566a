"""The listener goes on whatever it hears and however its connection ends, and subscribers are told to read again."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.support.backends import on_postgresql
from tests.support.waiting import until
from tiktok_accounts_gql.background import in_background
from tiktok_accounts_gql.db.notifications import CHANGES_CHANNEL, CHANNEL
from tiktok_accounts_gql.events import AccountChanged, ChangeKind, Event, EventSubscription, Resync, hash_viewer
from tiktok_accounts_gql.services.failures import FailureKind
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running, open_services

pytestmark = [on_postgresql, pytest.mark.untraced]


@dataclass(frozen=True, kw_only=True)
class Listener:
    running: Running
    failures: Counter[FailureKind]


@pytest_asyncio.fixture
async def listener(own_settings: Settings) -> AsyncGenerator[Listener]:
    counts = Counter[FailureKind]()
    async with (
        open_services(own_settings, count_failure=lambda kind: counts.update([kind])) as running,
        in_background(running, own_settings, worker=False, watched=True),
    ):
        yield Listener(running=running, failures=counts)


@asynccontextmanager
async def watching(listener: Listener, viewer: str) -> AsyncGenerator[EventSubscription]:
    """Once the listener hears."""
    with listener.running.hub.subscribe(viewer, matches=lambda event: event is not None) as subscription:
        assert isinstance(await soon(subscription), Resync)
        await until(lambda: listener.running.changes.get(viewer) is not None)
        yield subscription


async def soon(subscription: EventSubscription) -> Event | Resync:
    async with asyncio.timeout(10):
        return await anext(subscription)


async def say(listener: Listener, channel: str, payload: str) -> None:
    async with listener.running.db.transaction() as session:
        await session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


async def changed(listener: Listener, viewer: str) -> AccountChanged:
    """An event of another process."""
    event = AccountChanged(account_id=uuid4(), kind=ChangeKind.UPDATED)
    message = {"to": hash_viewer(viewer), "account": str(event.account_id), "kind": "UPDATED"}
    await say(listener, CHANNEL, json.dumps(message))
    return event


GARBAGE = [
    "garbage",
    "",
    "null",
    "[]",
    '"job"',
    "7",
    "{}",
    '{"job": 5, "to": "a"}',
    '{"to": ["a"], "job": "01900000-0000-7000-8000-000000000000"}',
    '{"to": "a", "account": null, "kind": "UPDATED"}',
    '{"to": "a", "account": "01900000-0000-7000-8000-000000000000", "kind": "EXPLODED"}',
    "[" * 2000,
]


@pytest.mark.parametrize("channel", [CHANNEL, CHANGES_CHANNEL])
async def test_garbage_is_passed_over_and_what_follows_is_heard(listener: Listener, viewer: str, channel: str) -> None:
    async with watching(listener, viewer) as subscription:
        for payload in GARBAGE:
            await say(listener, channel, payload)
        event = await changed(listener, viewer)
        assert await soon(subscription) == event
    assert listener.failures == {}


@pytest.mark.parametrize("times", [1, 3])
async def test_a_connection_that_is_ended_is_followed_by_the_next_one(
    listener: Listener, viewer: str, times: int
) -> None:
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{CHANNEL}'"
    async with watching(listener, viewer) as subscription:
        for _ in range(times):
            async with listener.running.db.read() as session:
                await session.execute(text(ended + " AND datname = current_database()"))
            assert isinstance(await soon(subscription), Resync)
            await until(lambda: listener.running.changes.get(viewer) is not None)
            event = await changed(listener, viewer)
            assert await soon(subscription) == event


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, EOFError, asyncio.IncompleteReadError, KeyError])
async def test_an_error_that_nobody_expects_ends_no_listener(
    listener: Listener, viewer: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the driver: its next statement on the connection that listens raises it."""
    execute, raised = asyncpg.Connection.execute, asyncio.Event()

    async def failing(connection: asyncpg.Connection, query: str, *args: object, **options: object) -> str:
        if query == "SELECT 1" and not raised.is_set():
            raised.set()
            raise error(b"", 1) if error is asyncio.IncompleteReadError else error("of the driver")
        answer: str = await execute(connection, query, *args, **options)
        return answer

    async with watching(listener, viewer) as subscription:
        monkeypatch.setattr(asyncpg.Connection, "execute", failing)
        assert isinstance(await soon(subscription), Resync)
        await until(lambda: listener.running.changes.get(viewer) is not None)
        event = await changed(listener, viewer)
        assert await soon(subscription) == event
    assert listener.failures[FailureKind.LISTENER] == 1
    assert raised.is_set()
