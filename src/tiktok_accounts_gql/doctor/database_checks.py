"""Checks of the database and of the encrypted values in it."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.engine import make_url

from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import sealed_tables
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.errors import PreparedStatementsLost
from tiktok_accounts_gql.db.migrate import NotMigrated, check_migrated
from tiktok_accounts_gql.db.sealed_tables import SealedTable
from tiktok_accounts_gql.doctor.context import CheckContext
from tiktok_accounts_gql.doctor.results import Finding, failed, ok, warning
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.settings import Settings

BATCH_SIZE = 1000
_MIGRATE = "Run: tiktok-accounts migrate"


def is_file_missing(settings: Settings) -> bool:
    """Return whether the database is a file that does not exist. Connecting to it would create it."""
    url = make_url(settings.database_url)
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file()


async def check_database(context: CheckContext) -> Finding:
    url = make_url(context.settings.database_url)
    backend, address = url.get_backend_name(), f"{url.host}/{url.database}" if url.host else str(url.database)
    if is_file_missing(context.settings):
        return failed(f"There is no file {address}.", _MIGRATE)
    try:
        await context.db.check_prepared_statements()
        started = time.perf_counter()
        await context.db.ping()
    except PreparedStatementsLost as error:
        return failed(error.problem, error.fix)
    except ServiceUnavailable:
        return failed(f"{backend} at {address} does not answer.", "Start it, or fix ACCOUNTS_DATABASE_URL.")
    milliseconds = (time.perf_counter() - started) * 1000
    limit = " It is for one process; several need PostgreSQL." if context.settings.is_embedded else ""
    return ok(f"{backend} at {address} answers in {milliseconds:.0f} ms.{limit}")


async def check_tables(context: CheckContext) -> Finding:
    try:
        await check_migrated(context.db)
    except NotMigrated:
        return failed("The tables are not those of this version.", _MIGRATE)
    return ok("The tables are those of this version.")


async def check_encryption_keys(context: CheckContext) -> Finding:
    """Decrypt every encrypted value. Raises NotMigrated."""
    await check_migrated(context.db)
    sealer, counts = Sealer(context.settings.keys), _SealCounts()
    for table in sealed_tables.TABLES:
        async for row in _list_rows(context.db, table):
            counts.add(sealer, table, row)
    total = sum(counts.by_key.values())
    if counts.unreadable:
        columns = ", ".join(f"{column} ({count})" for column, count in counts.unreadable.items())
        accounts = _plural(len(counts.unreadable_accounts), "account")
        return failed(
            f"None of the keys opens: {columns}.",
            "Add the key that sealed them to ACCOUNTS_ENCRYPTION_KEYS, behind the first one; "
            f"without it {accounts} must be connected again.",
        )
    if older := total - counts.by_key[sealer.key_id]:
        return warning(
            f"Of {total} values, {older} are sealed by an older key.",
            "Run: tiktok-accounts rotate-keys. Keep all keys until then.",
        )
    unused = " A key behind the first one is old and can go, or is new: once every server has it, put it in front."
    values = f"{_plural(total, 'value')} sealed, all by the first one" if total else "nothing is sealed yet"
    return ok(f"{_plural(len(sealer.key_ids), 'key')}; {values}.{unused if len(sealer.key_ids) > 1 else ''}")


@dataclass(slots=True)
class _SealCounts:
    """Counts of encrypted values: all of them by the id of their key, and those that no key opens by `table.column`."""

    by_key: Counter[bytes] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    unreadable_accounts: set[UUID | None] = field(default_factory=set)

    def add(self, sealer: Sealer, table: SealedTable, row: Any) -> None:
        for column in table.columns:
            value: bytes | None = getattr(row, column)
            if value is None:
                continue
            self.by_key[sealer.key_id_of(value)] += 1
            try:
                sealer.open(value, table.get_location(row, column))
            except SealBroken:
                self.unreadable[f"{table.name}.{column}"] += 1
                self.unreadable_accounts.add(row.account_id)


async def _list_rows(db: Database, table: SealedTable) -> AsyncGenerator[Any]:
    last_id = UUID(int=0)
    while True:
        async with db.read() as session:
            rows = await sealed_tables.list_all(session, table, after=last_id, limit=BATCH_SIZE)
        for row in rows:
            yield row
        if len(rows) < BATCH_SIZE:
            return
        last_id = getattr(rows[-1], table.id)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
