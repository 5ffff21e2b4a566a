"""A database that one test has for itself, with the job engine's tables, and no server on it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy import delete

from tests.support.batches import UNLIMITED, Scene
from tests.support.worked import http, server_url
from tiktok_accounts_gql.db.models import RequestQuota
from tiktok_accounts_gql.sandbox.app import Sandbox
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import open_services

__all__ = ["http", "own", "own_scene", "scene", "server_url", "shared_scene"]


@pytest.fixture
def own(own_settings: Settings) -> Settings:
    return own_settings.model_copy(update=UNLIMITED)


@pytest_asyncio.fixture
async def own_scene(own: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    async with opened(own, sandbox) as scene:
        yield scene


@pytest.fixture
def scene(own_scene: Scene) -> Scene:
    return own_scene


@pytest_asyncio.fixture
async def shared_scene(settings: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    """On the database of the whole run, with a quota that nobody has used: for tests that keep to their own viewers."""
    async with opened(settings.model_copy(update=UNLIMITED), sandbox) as scene:
        await forget_quota(scene)
        yield scene
        await forget_quota(scene)


@asynccontextmanager
async def opened(settings: Settings, sandbox: Sandbox) -> AsyncGenerator[Scene]:
    sandbox.faults.clear()
    async with open_services(settings) as running:
        yield Scene(settings=settings, running=running, sandbox=sandbox)
    sandbox.faults.clear()


async def forget_quota(scene: Scene) -> None:
    async with scene.running.db.transaction() as session:
        await session.execute(delete(RequestQuota))
