"""Rows that are written directly, for tests that read many of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def account(
    viewer: str, number: int = 0, *, username: str | None = None, display_name: str = "", **values: Any
) -> Account:
    """Return an account that was connected `number` minutes before noon."""
    time = NOON - timedelta(minutes=number)
    names = accounts.name_columns(username, display_name or f"Account {number:04}")
    columns = {
        "created_at": time,
        "connected_at": time,
        "updated_at": time,
        "health_since": time,
        "granted_scopes": [],
        "open_id": f"open-{uuid4().hex}",
        **names,
        **values,
    }
    return Account(viewer_id=viewer, **columns)


async def store(db: Database, *rows: Account) -> list[Account]:
    """Insert accounts and return them."""
    async with db.transaction() as session:
        await session.execute(insert(Account), [row.model_dump() for row in rows])
    return list(rows)
