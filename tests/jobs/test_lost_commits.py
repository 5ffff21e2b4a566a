"""A reading whose outcome could not be committed gives its lease back: nobody waits for it to run out."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.connecting import stored
from tests.support.batches import Scene
from tests.support.statements import listening_to_statements
from tests.support.waiting import until
from tiktok_accounts_gql.db.models import Account, JobState
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.sync.outcomes import SyncedAccount
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

SOON_SECONDS = 3  # a lease lasts for 7


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    return shared_scene


async def sync(scene: Scene, account: Account) -> SyncedAccount:
    return await scene.running.services.syncing.sync(Viewer(id=account.viewer_id), account.id)


async def is_free(scene: Scene, account: Account) -> bool:
    [pair] = await stored.sealed_pairs(scene.running, account.viewer_id)
    return pair.reading_id is None


@contextmanager
def failing(statement: str, error: Exception, *, times: int = 1) -> Iterator[None]:
    """The database refuses this statement so many times."""
    left = times

    def refuse(sent_statement: str, _parameters: Any) -> None:
        nonlocal left
        if left and sent_statement.startswith(statement):
            left -= 1
            raise error

    with listening_to_statements(refuse):
        yield
    assert left == 0


OUTCOMES = [
    ("INSERT INTO snapshots", RuntimeError("The disk is full.")),
    ("INSERT INTO audit_events", ServiceUnavailable()),
    ("UPDATE accounts", ServiceUnavailable()),
]


@pytest.mark.parametrize(("statement", "error"), OUTCOMES, ids=[statement for statement, _ in OUTCOMES])
async def test_the_next_sync_does_not_wait_for_the_lease(
    scene: Scene, viewer: str, statement: str, error: Exception
) -> None:
    [account] = await scene.accounts(viewer, 1)
    with failing(statement, error), pytest.raises(type(error)):
        await sync(scene, account)
    async with asyncio.timeout(SOON_SECONDS):
        assert (await sync(scene, account)).error is None
    assert len(scene.calls([account])) == 2
    assert await is_free(scene, account)
    assert (await stored.accounts(scene.running, viewer))[0].last_synced_at is not None


async def test_a_database_that_is_away_for_longer_is_waited_for(scene: Scene, viewer: str) -> None:
    """It takes neither the end of the reading nor the first two tries to give the lease back."""
    [account] = await scene.accounts(viewer, 1)
    with failing("UPDATE token_pairs SET reading_id=NULL", ServiceUnavailable(), times=3):
        with pytest.raises(ServiceUnavailable):
            await sync(scene, account)
        assert not await is_free(scene, account)
        await until(lambda: is_free(scene, account), seconds=SOON_SECONDS)
    assert (await sync(scene, account)).error is None


async def test_a_failure_that_could_not_be_stored_gives_it_back_too(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, status=503))
    with failing("UPDATE accounts", ServiceUnavailable()), pytest.raises(ServiceUnavailable):
        await sync(scene, account)
    async with asyncio.timeout(SOON_SECONDS):
        assert (await sync(scene, account)).error is None


async def test_the_work_of_a_job_goes_on_at_once(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    job = await scene.start(viewer)
    with failing("INSERT INTO snapshots", ServiceUnavailable()), pytest.raises(ServiceUnavailable):
        await scene.run(job)
    async with asyncio.timeout(SOON_SECONDS):
        await scene.run(job)
    assert (await scene.job(job)).state is JobState.SUCCEEDED
    assert await is_free(scene, account)


async def test_a_sync_that_is_cancelled_gives_it_back(scene: Scene, viewer: str) -> None:
    """The task itself, that is: a caller who leaves ends nothing."""
    [account] = await scene.accounts(viewer, 1)
    delayed = Fault(path=USER_INFO_PATH, open_id=account.open_id, delay_seconds=1.5, passthrough=True)
    scene.sandbox.faults.add(delayed)
    caller = asyncio.create_task(sync(scene, account))
    await until(lambda: not scene.sandbox.faults.list_active())
    [flight] = scene.running.services.syncing._syncs._flights.values()
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    async with asyncio.timeout(SOON_SECONDS):
        assert (await sync(scene, account)).error is None


async def test_a_lost_pair_of_transactions_stores_nothing_twice(scene: Scene, viewer: str) -> None:
    [account] = await scene.accounts(viewer, 1)
    with failing("INSERT INTO audit_events", RuntimeError("no")), pytest.raises(RuntimeError):
        await sync(scene, account)
    assert await stored.snapshots(scene.running, viewer) == []
    await sync(scene, account)
    assert len(await stored.snapshots(scene.running, viewer)) == 1
    assert (await stored.actions(scene.running, viewer)).count("ACCOUNT_SYNCED") == 1
