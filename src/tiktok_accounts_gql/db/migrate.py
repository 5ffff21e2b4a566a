"""Migrations by Alembic, from inside the package.

All that are missing run in one transaction: they happen together or not at all. A migration that changes many rows has a
function `portion` besides, which is called before, again and again, each time in a transaction of its own.
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

_LOCK = 0x74746B61  # any number of ours: PostgreSQL's advisory lock of the migrations


class NotMigrated(Exception):
    """Raised where the tables are older, or newer, than this code."""

    def __init__(self) -> None:
        super().__init__("The database's tables are not those of this version. Run: tiktok-accounts migrate")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """Brings the tables up to this version; several processes may try at the same time."""
    async with database.read() as session:
        current = await (await session.connection()).run_sync(_current_revisions)
    for portion in _portions(current):
        await _run_portions(database, portion)
    async with database.transaction() as session:
        await (await session.connection()).run_sync(_upgrade)


def _portions(current: set[str]) -> Iterator[Portion]:
    """Of the migrations that a database with tables lacks, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    missing = list(scripts.iterate_revisions("heads", tuple(current))) if current else []
    for script in reversed(missing):
        if portion := getattr(script.module, "portion", None):
            yield portion


async def _run_portions(database: Database, portion: Portion) -> None:
    """Each call is given what the one before returned, until that is None."""
    last: Any = None
    while True:
        async with database.transaction() as session:
            last = await (await session.connection()).run_sync(portion, last)
        if last is None:
            return


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config(connection), "head")


async def check_migrated(database: Database) -> None:
    """Raises NotMigrated."""
    async with database.read() as session:
        current = await (await session.connection()).run_sync(_current_revisions)
    if current != set(ScriptDirectory.from_config(_config()).get_heads()):
        raise NotMigrated


def _current_revisions(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())
