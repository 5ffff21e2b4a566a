"""What fields wait for together."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from tests.execution.worlds import VIEWER
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer


async def test_a_field_that_is_canceled_takes_nothing_from_another_that_waits_for_the_same() -> None:
    async def find(viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, str]:
        await asyncio.sleep(0)
        return dict.fromkeys(ids, viewer.id)

    async def wait(key: UUID) -> Any:
        return await loaders.accounts.load(key)

    loaders = Loaders(VIEWER, cast(Services, SimpleNamespace(accounts=SimpleNamespace(find=find))))
    key = uuid4()
    canceled, waiting = asyncio.create_task(wait(key)), asyncio.create_task(wait(key))
    await asyncio.sleep(0)
    canceled.cancel()
    assert await waiting == VIEWER.id
    assert canceled.cancelled()
