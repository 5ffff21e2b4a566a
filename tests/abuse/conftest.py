"""A server in a process of its own that is attacked, and a neighbour with a page of accounts."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.cli.serving import run_server
from tests.support import rows
from tests.support.server import Api
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import migrate_everything

NEIGHBOUR = "neighbour"


@pytest_asyncio.fixture(scope="module")
async def own(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a file with the neighbour's accounts."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('attacked') / 'own.db'}"
    await migrate_everything(url)
    db = Database.open(url)
    await rows.store(db, *(rows.account(NEIGHBOUR, number) for number in range(20)))
    await db.close()
    changed = {"database_url": url, "environment": "production", "list_cache_seconds": 0}
    return settings.model_copy(update={**changed, "cost_limit": 0})  # what is below is looked at: who asks on is let in


@pytest_asyncio.fixture(scope="module")
async def attacked(own: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Api]:
    """The neighbour's client of it."""
    async with run_server(tmp_path_factory.mktemp("server"), own, NEIGHBOUR) as (_, api):
        yield api
