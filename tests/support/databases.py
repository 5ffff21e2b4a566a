"""Databases of a test process' own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.postgres import KEY
from tiktok_accounts_gql.wiring import migrate_everything


def postgres_url(config: pytest.Config) -> str:
    return config.stash[KEY]


@asynccontextmanager
async def own_database(backend: str, config: pytest.Config, folder: Path) -> AsyncGenerator[str]:
    """A migrated one, gone at the end."""
    if backend == "sqlite":
        url = f"sqlite+aiosqlite:///{folder / 'own.db'}"
    else:
        url = await create_database(postgres_url(config))
    await migrate_everything(url)
    yield url
    if backend != "sqlite":
        await drop_database(postgres_url(config), url)


async def create_database(server_url: str) -> str:
    name = f"test_{uuid4().hex}"
    await _administer(server_url, f'CREATE DATABASE "{name}"')
    url = make_url(server_url).set(drivername="postgresql+asyncpg", database=name)
    return url.render_as_string(hide_password=False)


async def drop_database(server_url: str, url: str) -> None:
    await _administer(server_url, f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


async def _administer(server_url: str, statement: str) -> None:
    url = make_url(server_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
