"""Query plans of the statements that a function sends."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.statements import recorded_statements
from tiktok_accounts_gql.db.database import Database, Session


async def explain(db: Database, act: Callable[[Session], Awaitable[Any]]) -> list[str]:
    """Return the query plan of each statement that `act` sends."""
    explain = "EXPLAIN QUERY PLAN" if db.engines[0].dialect.name == "sqlite" else "EXPLAIN"
    async with db.read() as session:
        with recorded_statements(db) as statements:
            await act(session)
        connection = await session.connection()
        answers = [await connection.exec_driver_sql(f"{explain} {text}", parameters) for text, parameters in statements]
        return ["\n".join(str(row[-1]) for row in answer) for answer in answers]
