"""Old rows are deleted, also those of viewers who never return."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from tests.db.query_plans import explain
from tests.support.backends import on_sqlite
from tests.support.rows import NOON
from tiktok_accounts_gql.db import connection_attempts, idempotency
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import ConnectionAttempt, IdempotencyKey
from tiktok_accounts_gql.services import pruning
from tiktok_accounts_gql.services.pruning import PruningService


def key(number: int, age: timedelta) -> dict[str, Any]:
    columns: dict[str, Any] = {"operation": "syncAccounts", "input_hash": b"0", "answer": ""}
    return IdempotencyKey(viewer_id=f"viewer {number}", key="k", created_at=NOON - age, **columns).model_dump()


def attempt(number: int, age: timedelta) -> dict[str, Any]:
    times: dict[str, Any] = {"created_at": NOON - age, "expires_at": NOON - age}
    return ConnectionAttempt(viewer_id=f"viewer {number}", state_hash=uuid4().bytes, **times).model_dump()


async def count_rows(db: Database) -> list[int]:
    async with db.read() as session:
        return [
            (await session.execute(select(func.count()).select_from(model))).scalar_one()
            for model in (IdempotencyKey, ConnectionAttempt)
        ]


async def test_pruning_continues_until_no_old_row_is_left(alone: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH_SIZE", 10)
    ages = [timedelta(hours=1)] * 5 + [timedelta(days=2)] * 35
    async with alone.transaction() as session:
        await session.execute(insert(IdempotencyKey), [key(number, age) for number, age in enumerate(ages)])
        await session.execute(insert(ConnectionAttempt), [attempt(number, age) for number, age in enumerate(ages)])
    service = PruningService(db=alone, clock=lambda: NOON)
    assert await service.prune() == 70
    assert await count_rows(alone) == [5, 5]
    assert await service.prune() == 0


@on_sqlite
@pytest.mark.parametrize("table", [idempotency, connection_attempts], ids=["keys", "attempts"])
async def test_old_rows_are_found_by_their_age(alone: Database, table: Any) -> None:
    [plan] = await explain(
        alone, lambda session: table.delete_batch_before(session, NOON - timedelta(days=999), limit=10)
    )
    assert "_by_time" in plan, plan
