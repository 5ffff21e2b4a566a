"""The database itself enforces the invariants."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel, col

from tests.support.rows import NOON, account, store
from tiktok_accounts_gql.db import account_totals, accounts
from tiktok_accounts_gql.db.accounts import AccountTaken
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import (
    Account,
    AuditAction,
    AuditActor,
    AuditEvent,
    IdempotencyKey,
    PendingRevocation,
    Snapshot,
    TokenPair,
)

ROWS_OF_ACCOUNTS: list[tuple[type[SQLModel], dict[str, Any]]] = [
    (TokenPair, {"access_token": b"sealed", "issued_at": NOON, "expires_at": NOON}),
    (Snapshot, {"recorded_at": NOON, "hour": 0}),
    (
        PendingRevocation,
        {"access_token": b"sealed", "access_token_expires_at": NOON, "next_attempt_at": NOON, "given_up_at": NOON},
    ),
    (
        AuditEvent,
        {
            "action": AuditAction.ACCOUNT_READ,
            "is_change": False,
            "created_at": NOON,
            "actor": AuditActor.USER,
            "details": [],
        },
    ),
]
of_an_account = pytest.mark.parametrize(
    ("model", "values"), ROWS_OF_ACCOUNTS, ids=lambda value: getattr(value, "__name__", "")
)


async def connect(db: Database, viewer: str, open_id: str) -> Account:
    async with db.transaction() as session:
        values = accounts.name_columns("ann", "Ann") | {"granted_scopes": [], "updated_at": NOON, "health_since": NOON}
        return await accounts.add(session, viewer, open_id=open_id, connected_at=NOON, **values)


async def disconnect(db: Database, row: Account) -> None:
    async with db.transaction() as session:
        await accounts.change(session, row.viewer_id, row.id, disconnected_at=NOON)


async def add(db: Database, row: SQLModel) -> None:
    async with db.transaction() as session:
        session.add(row)


async def open_id_of(db: Database, open_id: str) -> list[Account]:
    async with db.read() as session:
        return list(await session.scalars(select(Account).where(col(Account.open_id) == open_id)))


async def test_only_one_of_several_viewers_can_connect_an_account_at_once(alone: Database) -> None:
    open_id = uuid4().hex
    attempts = [connect(alone, f"{open_id}-{number}", open_id) for number in range(4)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "Account",
        "AccountTaken",
        "AccountTaken",
        "AccountTaken",
    ]
    assert len(await open_id_of(alone, open_id)) == 1


async def test_an_account_that_was_disconnected_can_be_connected_by_another_viewer(
    alone: Database, viewer: str
) -> None:
    earlier = await connect(alone, viewer, open_id := uuid4().hex)
    await disconnect(alone, earlier)
    later = await connect(alone, f"another than {viewer}", open_id)
    assert later.id != earlier.id
    assert len(await open_id_of(alone, open_id)) == 2


async def test_a_disconnected_account_does_not_come_back_while_another_viewer_has_it(
    alone: Database, viewer: str
) -> None:
    earlier = await connect(alone, viewer, open_id := uuid4().hex)
    await disconnect(alone, earlier)
    await connect(alone, f"another than {viewer}", open_id)
    with pytest.raises(AccountTaken):
        async with alone.transaction() as session:
            await accounts.reconnect(session, viewer, earlier.id, updated_at=NOON)


async def test_a_viewer_has_one_row_for_an_account_even_if_it_is_disconnected(alone: Database, viewer: str) -> None:
    await disconnect(alone, await connect(alone, viewer, open_id := uuid4().hex))
    with pytest.raises(AccountTaken):
        await connect(alone, viewer, open_id)
    assert len(await open_id_of(alone, open_id)) == 1


@of_an_account
async def test_a_row_of_an_account_must_have_its_viewer(
    alone: Database, viewer: str, model: type[SQLModel], values: dict[str, Any]
) -> None:
    [row] = await store(alone, account(viewer))
    with pytest.raises(IntegrityError):
        await add(alone, model(account_id=row.id, viewer_id=f"another than {viewer}", **values))
    await add(alone, model(account_id=row.id, viewer_id=viewer, **values))


@of_an_account
async def test_a_row_of_an_unknown_account_is_refused(
    alone: Database, viewer: str, model: type[SQLModel], values: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        await add(alone, model(account_id=uuid4(), viewer_id=viewer, **values))


async def test_an_account_with_tokens_cannot_move_to_another_viewer(alone: Database, viewer: str) -> None:
    [row] = await store(alone, account(viewer))
    await add(
        alone, TokenPair(account_id=row.id, viewer_id=viewer, access_token=b"sealed", issued_at=NOON, expires_at=NOON)
    )
    with pytest.raises(IntegrityError):
        async with alone.transaction() as session:
            await session.execute(update(Account).where(col(Account.id) == row.id).values(viewer_id="another"))


@pytest.mark.parametrize("change", ["UPDATE accounts SET status = 'BROKEN'", "UPDATE accounts SET created_at = NULL"])
async def test_an_invalid_value_is_refused(alone: Database, viewer: str, change: str) -> None:
    await store(alone, account(viewer))
    with pytest.raises(IntegrityError):
        async with alone.transaction() as session:
            await session.execute(text(f"{change} WHERE viewer_id = :viewer"), {"viewer": viewer})


async def test_an_unknown_actor_is_refused(alone: Database, viewer: str) -> None:
    columns = "(id, viewer_id, action, is_change, created_at, actor, details)"
    values = (
        "('00000000000000000000000000000001', 'v', 'ACCOUNT_READ', false, '2026-11-24 12:00:00+00', 'NOBODY', '[]')"
    )
    with pytest.raises(IntegrityError, match="auditactor_known"):
        async with alone.transaction() as session:
            await session.execute(text(f"INSERT INTO audit_events {columns} VALUES {values}"))


async def test_audit_events_cannot_be_emptied(alone: Database, backend: str, viewer: str) -> None:
    """SQLite has no TRUNCATE: there, it is a DELETE without a condition."""
    values = dict(ROWS_OF_ACCOUNTS)[AuditEvent]
    await add(alone, AuditEvent(viewer_id=viewer, **values))
    emptying = "DELETE FROM audit_events" if backend == "sqlite" else "TRUNCATE audit_events"
    with pytest.raises(DBAPIError, match="append-only"):
        async with alone.transaction() as session:
            await session.execute(text(emptying))
    async with alone.read() as session:
        assert (await session.scalars(select(AuditEvent).where(col(AuditEvent.viewer_id) == viewer))).one()


async def test_an_idempotency_key_is_unique_per_viewer(alone: Database, viewer: str) -> None:
    def key(of: str) -> IdempotencyKey:
        values: dict[str, Any] = {"operation": "o", "input_hash": b"h", "answer": "a", "created_at": NOON}
        return IdempotencyKey(viewer_id=of, key="key", **values)

    await add(alone, key(viewer))
    await add(alone, key(f"another than {viewer}"))
    with pytest.raises(IntegrityError):
        await add(alone, key(viewer))


async def test_an_account_has_one_snapshot_of_a_moment(alone: Database, viewer: str) -> None:
    [row] = await store(alone, account(viewer))
    of_row: dict[str, Any] = {"account_id": row.id, "viewer_id": viewer, "hour": 0}
    await add(alone, Snapshot(**of_row, recorded_at=NOON))
    await add(alone, Snapshot(**of_row, recorded_at=NOON + timedelta(microseconds=1)))
    with pytest.raises(IntegrityError):
        await add(alone, Snapshot(**of_row, recorded_at=NOON))


@pytest.mark.parametrize("letter", ["x", "é", "🎵"])
async def test_a_viewers_id_may_have_255_characters(alone: Database, letter: str) -> None:
    viewer = letter * 255
    [row] = await store(alone, account(viewer))
    async with alone.read() as session:
        assert (await accounts.get(session, viewer, row.id)).viewer_id == viewer


async def test_ids_are_of_version_7_and_ascend_in_time(alone: Database, viewer: str) -> None:
    rows = await store(alone, *[account(viewer) for _ in range(300)])
    assert {row.id.version for row in rows} == {7}
    async with alone.read() as session:
        ordered = select(col(Account.id)).where(col(Account.viewer_id) == viewer).order_by(col(Account.id))
        assert list(await session.scalars(ordered)) == [row.id for row in rows]


async def test_counters_beyond_32_bits_are_kept(alone: Database, viewer: str) -> None:
    [row] = await store(alone, account(viewer, likes_count=2**53 - 1))
    async with alone.transaction() as session:
        await session.execute(
            insert(Snapshot),
            [
                Snapshot(
                    account_id=row.id, viewer_id=viewer, recorded_at=NOON, hour=0, likes_count=2**53 - 1
                ).model_dump()
            ],
        )
    assert (await account_totals.summarize(alone, viewer)).total_likes == 2**53 - 1
