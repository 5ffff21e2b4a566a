"""Fixtures of commands."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.cli.processes import run
from tests.cli.serving import environment_variables
from tests.support.databases import create_database, drop_database, postgres_url
from tiktok_accounts_gql.settings import Settings


@pytest_asyncio.fixture(scope="module")
async def production_settings(
    settings: Settings, backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Settings]:
    """Return settings of production, with a database of its own that `tiktok-accounts migrate` created."""
    folder, server = tmp_path_factory.mktemp("serve"), postgres_url(request.config)
    url = f"sqlite+aiosqlite:///{folder / 'serve.db'}" if backend == "sqlite" else await create_database(server)
    production = settings.model_copy(update={"database_url": url, "environment": "production"})
    migrated = run(folder, "migrate", env=environment_variables(production))
    assert migrated.returncode == 0, migrated.stderr
    yield production
    if backend == "postgresql":
        await drop_database(server, url)
