"""Fields that load the same key share one load."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from tests.execution.fake_rows import VIEWER
from tiktok_accounts_gql.resolvers.loaders import Loaders
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.viewer import Viewer


async def test_a_canceled_field_does_not_cancel_the_load_that_another_field_waits_for() -> None:
    async def find(viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, str]:
        await asyncio.sleep(0)
        return dict.fromkeys(ids, viewer.id)

    async def load(key: UUID) -> Any:
        return await loaders.accounts.load(key)

    loaders = Loaders(VIEWER, cast(Services, SimpleNamespace(accounts=SimpleNamespace(find=find))))
    key = uuid4()
    canceled, other = asyncio.create_task(load(key)), asyncio.create_task(load(key))
    await asyncio.sleep(0)
    canceled.cancel()
    assert await other == VIEWER.id
    assert canceled.cancelled()
