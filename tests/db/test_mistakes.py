"""Programming errors do not count as an unavailable database: they are raised as they are, and logged."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col

from tests.support.backends import on_postgresql
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.wiring import Running

TOO_MANY = 70_000


@pytest.fixture
def db(running: Running) -> Database:
    return running.db


@on_postgresql
async def test_too_many_parameters_are_a_programming_error(db: Database) -> None:
    names = [f"p{number}" for number in range(TOO_MANY)]
    statement = select(1).where(bindparam("x", 1).in_([bindparam(name, 1, Integer) for name in names]))
    async with db.read() as session:
        with pytest.raises(DBAPIError):
            await session.execute(statement)


@on_postgresql
async def test_a_parameter_of_another_type_is_a_programming_error(db: Database) -> None:
    async def read() -> None:
        async with db.read() as session:
            await session.execute(text("SELECT CAST(:x AS integer)").bindparams(x="one"))

    with pytest.raises(DBAPIError):
        await read()
    statement = select(col(Account.id)).where(bindparam("x", type_=Integer) == 1)
    with pytest.raises(asyncpg.DataError):
        await db.fetch(db.compile("mistaken", lambda: statement), {"x": "one"})


@on_postgresql
async def test_a_closed_connection_is_an_unavailable_database(db: Database) -> None:
    async def read() -> None:
        async with db.read() as session:
            connection: Any = (await (await session.connection()).get_raw_connection()).driver_connection
            await connection.close()
            await session.execute(text("SELECT 1"))

    with pytest.raises(ServiceUnavailable):
        await read()
    await db.ping()


@pytest.mark.parametrize("value", ["somebody", None], ids=["built with a value", "built without one"])
async def test_a_missing_parameter_does_not_default_to_the_first_callers_value(db: Database, value: str | None) -> None:
    def build() -> Any:
        viewer: Any = col(Account.viewer_id)
        return select(col(Account.id)).where(viewer == bindparam("of_viewer", value, viewer.type)).limit(1)

    prepared = db.compile(("missing", value), build)
    assert await db.fetch(prepared, {"of_viewer": "nobody at all"}) == []
    with pytest.raises(KeyError, match="of_viewer"):
        await db.fetch(prepared, {})
