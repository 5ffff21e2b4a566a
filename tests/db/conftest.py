"""Databases of a test's own, which are empty at first."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.databases import create_database, drop_database, postgres_url
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import migrate


@asynccontextmanager
async def empty_database(backend: str, config: pytest.Config, folder: Path) -> AsyncGenerator[str]:
    if backend == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'accounts.db'}"
        return
    url = await create_database(postgres_url(config))
    yield url
    await drop_database(postgres_url(config), url)


@pytest_asyncio.fixture
async def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[str]:
    async with empty_database(backend, request.config, tmp_path) as url:
        yield url


@pytest_asyncio.fixture
async def empty(empty_url: str) -> AsyncGenerator[Database]:
    db = Database.open(empty_url)
    yield db
    await db.close()


@pytest_asyncio.fixture(scope="module")
async def alone_url(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[str]:
    async with empty_database(backend, request.config, tmp_path_factory.mktemp("alone")) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def alone(alone_url: str) -> AsyncGenerator[Database]:
    """Open a migrated database of a module's own, with nothing but the rows that the module stores."""
    db = Database.open(alone_url)
    await migrate(db)
    yield db
    await db.close()
