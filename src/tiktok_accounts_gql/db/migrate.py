"""Migrations by Alembic, run from inside the package.

All missing migrations run in one transaction, so all of them happen or none. A migration that changes many rows also has a
function `portion`, which is called repeatedly before that transaction, each time in a transaction of its own.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tiktok_accounts_gql.db.database import Database

Portion = Callable[[Connection, Any], Any]

_LOCK_KEY = 0x74746B61  # of PostgreSQL's advisory lock for migrations; any number that nothing else uses


class NotMigrated(Exception):
    """Raised when the tables are older or newer than this code."""

    def __init__(self) -> None:
        super().__init__("The database's tables are not those of this version. Run: tiktok-accounts migrate")


def _build_config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """Upgrade the tables to this version. Several processes may call this at the same time."""
    async with database.read() as session:
        current = await (await session.connection()).run_sync(_get_current_revisions)
    for portion in _list_portions(current):
        await _run_portions(database, portion)
    async with database.transaction() as session:
        await (await session.connection()).run_sync(_upgrade)


def _list_portions(current: set[str]) -> Iterator[Portion]:
    """Return the `portion` functions of missing migrations, oldest first; none for an empty database."""
    scripts = ScriptDirectory.from_config(_build_config())
    missing = list(scripts.iterate_revisions("heads", tuple(current))) if current else []
    for script in reversed(missing):
        if portion := getattr(script.module, "portion", None):
            yield portion


async def _run_portions(database: Database, portion: Portion) -> None:
    """Call `portion` until it returns None. Each call gets what the previous one returned."""
    last: Any = None
    while True:
        async with database.transaction() as session:
            last = await (await session.connection()).run_sync(portion, last)
        if last is None:
            return


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK_KEY})
    command.upgrade(_build_config(connection), "head")


async def check_migrated(database: Database) -> None:
    """Raise NotMigrated unless the tables are those of this version."""
    async with database.read() as session:
        current = await (await session.connection()).run_sync(_get_current_revisions)
    if current != set(ScriptDirectory.from_config(_build_config()).get_heads()):
        raise NotMigrated


def _get_current_revisions(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())
