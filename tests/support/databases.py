"""Databases that a test process creates for itself."""

import shutil
import tempfile
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

_FILE: pytest.StashKey[Path] = pytest.StashKey()
_DATABASE: pytest.StashKey[str] = pytest.StashKey()


def postgres_url(config: pytest.Config) -> str:
    return config.stash[KEY]


@asynccontextmanager
async def own_database(backend: str, config: pytest.Config, folder: Path) -> AsyncGenerator[str]:
    """Create a migrated database, a copy of one that was migrated once, and remove it at the end."""
    if backend == "sqlite":
        file = folder / "own.db"
        shutil.copyfile(await _migrated_file(config), file)
        yield f"sqlite+aiosqlite:///{file}"
        return
    server_url = postgres_url(config)
    url = await create_database(server_url, template=await _migrated_database(config))
    yield url
    await drop_database(server_url, url)


async def _migrated_file(config: pytest.Config) -> Path:
    if (file := config.stash.get(_FILE, None)) is None:
        file = config.stash[_FILE] = Path(tempfile.mkdtemp(prefix="accounts-template-")) / "migrated.db"
        config.add_cleanup(lambda: shutil.rmtree(file.parent))
        await migrate_everything(f"sqlite+aiosqlite:///{file}")
    return file


async def _migrated_database(config: pytest.Config) -> str:
    """Return the template's name. Nothing may be connected to it while it is copied."""
    if (name := config.stash.get(_DATABASE, None)) is None:
        url = await create_database(postgres_url(config))
        await migrate_everything(url)
        name = config.stash[_DATABASE] = str(make_url(url).database)
    return name


async def create_database(server_url: str, *, template: str = "template1") -> str:
    name = f"test_{uuid4().hex}"
    await _administer(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
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
