"""A database that one test has for itself, with the job engine's tables, and no server on it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest_asyncio

from tests.support.batches import Scene
from tests.support.worked import http, server_url
from tiktok_accounts_gql.jobs.queue import migrate_engine
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.sandbox.app import Sandbox
from tiktok_accounts_gql.wiring import open_services

__all__ = ["http", "own", "scene", "server_url"]

UNLIMITED = {
    "tiktok_requests_per_minute": 60_000,
    "tiktok_failures_before_pause": Settings.model_fields["tiktok_failures_before_pause"].default,
    "sync_interval": timedelta(0),
}


@pytest_asyncio.fixture
async def own(own_settings: Settings) -> Settings:
    await asyncio.to_thread(migrate_engine, own_settings.database_url)
    return own_settings.model_copy(update=UNLIMITED)


@pytest_asyncio.fixture
async def scene(own: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    sandbox.faults.clear()
    async with open_services(own) as running:
        yield Scene(settings=own, running=running, sandbox=sandbox)
    sandbox.faults.clear()
