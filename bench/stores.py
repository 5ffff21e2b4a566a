"""Seeded databases, cached in a folder: each is created once and used until rows or tables change.

Seeding is fast: the migrations create the tables, the indexes are dropped and created again at the end, and the rows are
inserted by COPY or executemany, without the services. Triggers stay on, so the totals that they maintain are right.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL, Dialect
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql_dialect
from sqlalchemy.dialects.sqlite.aiosqlite import dialect as sqlite_dialect
from sqlmodel import SQLModel

from bench import rows as rows_module
from bench.rows import Population, account_rows
from tiktok_accounts_gql.db import migrations
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.wiring import migrate_everything

_CHUNK = 1000  # rows a transaction: a trigger that maintains a total updates one row again and again
Values = tuple[Any, ...]


def fingerprint() -> str:
    """Return a hash of everything that decides what a seeded database contains."""
    folder = Path(next(iter(migrations.__path__)))
    files = [Path(rows_module.__file__), Path(__file__), *sorted(folder.rglob("*.py"))]
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:8]


def sqlite_store(folder: Path, population: Population) -> str:
    """Return the URL of a seeded file."""
    stem = f"accounts-{population.name}"
    file = folder / f"{stem}-{fingerprint()}.db"
    unfinished = folder / f"unfinished-{stem}.db"
    if not file.exists():
        for old in (*folder.glob(f"{stem}-*.db*"), *folder.glob(f"{unfinished.name}*")):
            old.unlink()
        asyncio.run(migrate_everything(f"sqlite+aiosqlite:///{unfinished}"))
        _fill_sqlite(unfinished, population)
        unfinished.rename(file)
    return f"sqlite+aiosqlite:///{file}"


def _fill_sqlite(file: Path, population: Population) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-200000"):
        db.execute(f"PRAGMA {pragma}")
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'accounts' AND type = 'index' AND sql > ''")
    indexes = dict(rows.fetchall())
    for name in indexes:
        db.execute(f"DROP INDEX {name}")
    columns, chunks = _chunks(population, sqlite_dialect())
    insert = f"INSERT INTO accounts ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for chunk in chunks:
        db.execute("BEGIN")
        db.executemany(insert, chunk)
        db.execute("COMMIT")
    for statement in (*indexes.values(), "ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
        db.execute(statement)
    db.close()


async def postgres_store(server: URL, population: Population) -> str:
    """Return the URL of a seeded database."""
    stem = f"bench_{population.name}"
    name = f"{stem}_{fingerprint()}"
    admin = await asyncpg.connect(to_driver_url(server))
    present = {
        row[0] for row in await admin.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", stem)
    }
    url = server.set(drivername="postgresql+asyncpg", database=name)
    if name not in present:
        for old in present:
            if old.rpartition("_")[0] in (stem, f"{stem}_unfinished"):
                await admin.execute(f'DROP DATABASE "{old}" WITH (FORCE)')
        unfinished = url.set(database=f"{stem}_unfinished_0")
        await admin.execute(f'CREATE DATABASE "{unfinished.database}"')
        await migrate_everything(unfinished.render_as_string(hide_password=False))
        await _fill_postgres(unfinished, population)
        await admin.execute(f'ALTER DATABASE "{unfinished.database}" RENAME TO "{name}"')
    await admin.close()
    return url.render_as_string(hide_password=False)


async def _fill_postgres(url: URL, population: Population) -> None:
    db = await asyncpg.connect(to_driver_url(url))
    indexes = await db.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'accounts'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for name, _ in indexes:
        await db.execute(f'DROP INDEX "{name}"')
    columns, chunks = _chunks(population, postgresql_dialect())  # type: ignore[no-untyped-call]
    for chunk in chunks:
        await db.copy_records_to_table("accounts", records=chunk, columns=columns)
    await db.execute("SET maintenance_work_mem = '1GB'")
    for _, statement in indexes:
        await db.execute(statement, timeout=3600)
    await db.execute("VACUUM ANALYZE", timeout=3600)
    await db.execute("CHECKPOINT", timeout=3600)
    await db.close()


def to_driver_url(url: URL) -> str:
    """Return the URL for asyncpg and libpq, without SQLAlchemy's driver."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _chunks(population: Population, dialect: Dialect) -> tuple[list[str], Iterator[list[Values]]]:
    """Return the names of the columns, and chunks of rows of values as the driver takes them."""
    columns = list(next(account_rows(0, 1)))
    converters = [_get_converter(Account, name, dialect) for name in columns]
    return columns, _convert_rows(population, converters)


def _convert_rows(population: Population, converters: list[Callable[[Any], Any]]) -> Iterator[list[Values]]:
    for viewer, size in enumerate(population.sizes):
        values = (
            tuple(convert(value) for convert, value in zip(converters, row.values(), strict=True))
            for row in account_rows(viewer, size)
        )
        while chunk := list(islice(values, _CHUNK)):
            yield chunk


def _get_converter(model: type[SQLModel], column: str, dialect: Dialect) -> Callable[[Any], Any]:
    kind = model.metadata.tables[str(model.__tablename__)].columns[column].type
    return kind.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
