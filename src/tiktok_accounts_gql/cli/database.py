"""The database of a subcommand that needs it for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tiktok_accounts_gql.db.database import Database
    from tiktok_accounts_gql.settings import Settings

T = TypeVar("T")
SQLITE_THREAD_SECONDS = 0.1


async def with_database(settings: "Settings", work: "Callable[[Database], Awaitable[T]]") -> T:
    """Open the database, return what `work` returns, and close the database."""
    from tiktok_accounts_gql.db.database import Database, check_sqlite_folder
    from tiktok_accounts_gql.errors import ServiceUnavailable

    check_sqlite_folder(settings.database_url)
    db = Database.open(settings.database_url)
    try:
        return await work(db)
    except ServiceUnavailable:
        await asyncio.sleep(SQLITE_THREAD_SECONDS)  # after a failed connection SQLite's thread still calls this loop
        raise
    finally:
        await db.close()


async def check_database(db: "Database") -> None:
    """Find what would fail the start of a server, before it starts. Raises PreparedStatementsLost, NotMigrated."""
    from tiktok_accounts_gql.db.migrate import check_migrated

    await db.check_prepared_statements()
    await check_migrated(db)
