"""Fixtures in place of those of the whole run: a server with a worker. Import them where jobs have to end.

Per module: the job engine is global to a process, and its polling would slow every other test down.
"""

from collections.abc import AsyncGenerator

import httpx
import pytest_asyncio

from tests.support.server import serving
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context


@pytest_asyncio.fixture(scope="module")
async def server_url(settings: Settings) -> AsyncGenerator[str]:
    async with serving(settings, worker=True) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def http(server_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server_url, verify=get_ssl_context(), timeout=30) as client:
        yield client
