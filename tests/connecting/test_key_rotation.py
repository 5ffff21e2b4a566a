"""`tiktok-accounts rotate-keys`: everything sealed is sealed anew with the first key, while servers run."""

import asyncio
import base64
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretBytes
from typer.testing import CliRunner, Result

from tests.connecting import flows, stored
from tests.support import rows
from tests.support.server import Api, serving
from tests.support.statements import listening_to_statements
from tests.support.tiktok import TikTok
from tests.support.waiting import until
from tiktok_accounts_gql.cli.main import app
from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import sealed_tables, token_pairs
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import Account, TokenPair
from tiktok_accounts_gql.db.sealed_tables import SealedTable
from tiktok_accounts_gql.services.callbacks import Callback
from tiktok_accounts_gql.services.key_rotation import BATCH, BEFORE_ALL, KeyRotation
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import PREFIX, Settings
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

OLD, NEW, LOST = os.urandom(32), os.urandom(32), os.urandom(32)


def with_keys(settings: Settings, *keys: bytes) -> Settings:
    return settings.model_copy(update={"encryption_keys": tuple(SecretBytes(key) for key in keys)})


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A database of its own, whose secrets the old key sealed."""

    settings: Settings
    tiktok: TikTok

    @property
    def running(self) -> Running:
        return self.tiktok.running

    async def rotate(self, *keys: bytes) -> int:
        return (await KeyRotation(db=self.running.db, sealer=Sealer(keys)).run()).count

    async def key_ids(self) -> dict[str, set[bytes]]:
        """Of everything sealed, by table and column."""
        found: dict[str, set[bytes]] = {}
        async with self.running.db.read() as session:
            for table in sealed_tables.TABLES:
                for row in await sealed_rows(session, table):
                    for name in table.columns:
                        if (value := getattr(row, name)) is not None:
                            found.setdefault(f"{table.model.__tablename__}.{name}", set()).add(value[1:5])
        return found


async def sealed_rows(session: Session, table: SealedTable) -> Sequence[Any]:
    return await sealed_tables.list_by_other_keys(session, table, key_id=b"none", after=BEFORE_ALL, limit=10_000)


def key_id(key: bytes) -> bytes:
    return Sealer([key]).key_id


@pytest.fixture
async def house(own_settings: Settings, tiktok: TikTok) -> AsyncGenerator[House]:
    settings = with_keys(own_settings, OLD).model_copy(update={"tiktok_login_platform": "desktop"})
    async with open_services(settings) as running:
        yield House(settings=settings, tiktok=TikTok(sandbox=tiktok.sandbox, settings=settings, running=running))


async def furnished(house: House, viewer: str) -> tuple[Account, str]:
    """Something sealed in every column of every table: an account, and the link of an authorization under way."""
    account, old_account = await house.tiktok.connect(viewer), await house.tiktok.connect(viewer)
    house.tiktok.sandbox.state.expire_access_token(account.open_id)
    assert (await house.running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None
    house.tiktok.fail(REVOKE_PATH, old_account, status=503)
    await house.running.services.accounts.disconnect(Viewer(id=viewer), old_account.id, None)
    await until(lambda: house.tiktok.revocations(old_account.open_id) == 1)
    begun = await house.running.services.authorizations.start(Viewer(id=viewer), return_to=None, account_id=None)
    columns = {f"{table.model.__tablename__}.{name}" for table in sealed_tables.TABLES for name in table.columns}
    assert await house.key_ids() == {column: {key_id(OLD)} for column in columns}
    return account, begun.authorization_url


async def test_everything_sealed_is_sealed_by_the_new_key(house: House, viewer: str) -> None:
    await furnished(house, viewer)
    assert await house.rotate(NEW, OLD) == 3
    assert set().union(*(await house.key_ids()).values()) == {key_id(NEW)}
    assert await house.rotate(NEW, OLD) == 0


async def test_afterwards_the_old_key_can_go(house: House, viewer: str) -> None:
    account, link = await furnished(house, viewer)
    pair = await stored.pair(house.running, house.settings, account)
    await house.rotate(NEW, OLD)
    new = with_keys(house.settings, NEW)
    async with open_services(new) as running:
        assert await stored.pair(running, new, account) == pair
        assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None
        house.tiktok.sandbox.state.expire_access_token(account.open_id)
        assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None
        answer = await flows.give_consent(await flows.confirm_in_process(running, link), f"user-{uuid4().hex}")
        callback = Callback(state=answer["state"], code=answer["code"])
        finished = await running.services.authorizations.finish(callback, browser=flows.BROWSER)
        assert finished.unwrap().account.status == "ACTIVE"
    with pytest.raises(SealBroken):
        await stored.pair(house.running, house.settings, account)


async def test_what_is_owed_to_tiktok_is_settled_with_the_new_key(house: House, viewer: str) -> None:
    old_account = await house.tiktok.connect(viewer)
    house.tiktok.fail(REVOKE_PATH, old_account, status=503)
    await house.running.services.accounts.disconnect(Viewer(id=viewer), old_account.id, None)
    await until(lambda: house.tiktok.revocations(old_account.open_id) == 1)
    assert not house.tiktok.revoked(old_account.open_id)
    await house.rotate(NEW, OLD)
    async with house.running.db.read() as session:
        [owed] = await sealed_rows(session, sealed_tables.TABLES[1])
    async with open_services(with_keys(house.settings, NEW)) as running:
        await running.revocations.process(owed)
    assert house.tiktok.revoked(old_account.open_id)


@pytest.mark.proof
async def test_reads_go_on_while_it_runs(house: House, viewer: str) -> None:
    accounts = [await house.tiktok.connect(viewer) for _ in range(12)]
    async with open_services(with_keys(house.settings, NEW, OLD)) as running:

        async def reading(account: Account) -> list[Any]:
            errors = []
            while not rotated.done():
                house.tiktok.sandbox.state.expire_access_token(account.open_id)
                errors.append((await running.services.syncing.sync(Viewer(id=viewer), account.id)).error)
            return errors

        rotated = asyncio.create_task(back_and_forth(house))
        errors = await asyncio.gather(*[reading(account) for account in accounts])
        await rotated
        assert await house.rotate(NEW, OLD) == 0
        for account in accounts:
            assert (await running.services.syncing.sync(Viewer(id=viewer), account.id)).error is None
    assert all(errors)
    assert {error for of_one in errors for error in of_one} == {None}
    assert set().union(*(await house.key_ids()).values()) == {key_id(NEW)}


async def back_and_forth(house: House) -> None:
    """So that rotations meet the readers, who have both keys, at many moments."""
    for keys in ((NEW, OLD), (OLD, NEW), (NEW, OLD), (OLD, NEW), (NEW, OLD)):
        await house.rotate(*keys)
        await asyncio.sleep(0.1)


async def many_pairs(house: House, viewer: str, count: int) -> list[Account]:
    accounts = await rows.store(house.running.db, *[rows.account(viewer, number) for number in range(count)])
    sealer = Sealer([OLD])
    async with house.running.db.transaction() as session:
        for account in accounts:
            place = token_pairs.get_location(account.id, "access_token")
            session.add(
                TokenPair(
                    account_id=account.id,
                    viewer_id=viewer,
                    access_token=sealer.seal(f"token of {account.id}", place),
                    issued_at=rows.NOON,
                    expires_at=rows.NOON,
                )
            )
    return accounts


@contextmanager
def broken_off(after: int) -> Iterator[None]:
    """The database breaks down after so many rows."""
    count = 0

    def break_down(sent_statement: str, _parameters: Any) -> None:
        nonlocal count
        if sent_statement.startswith("UPDATE token_pairs"):
            count += 1
            if count > after:
                raise RuntimeError("The power is gone.")

    with listening_to_statements(break_down):
        yield


async def test_a_rotation_that_was_broken_off_is_continued_and_every_value_opens_meanwhile(
    house: House, viewer: str
) -> None:
    accounts = await many_pairs(house, viewer, BATCH + 30)
    with broken_off(BATCH + 10), pytest.raises(RuntimeError, match="The power is gone"):
        await house.rotate(NEW, OLD)
    assert (await house.key_ids())["token_pairs.access_token"] == {key_id(OLD), key_id(NEW)}
    both = with_keys(house.settings, NEW, OLD)
    for account in accounts:
        assert (await stored.pair(house.running, both, account)).access_token == f"token of {account.id}"
    assert await house.rotate(NEW, OLD) == 30
    new = with_keys(house.settings, NEW)
    for account in accounts:
        assert (await stored.pair(house.running, new, account)).access_token == f"token of {account.id}"


async def test_two_rotations_at_once_do_it_once(house: House, viewer: str) -> None:
    accounts = await many_pairs(house, viewer, 50)
    counts = await asyncio.gather(house.rotate(NEW, OLD), house.rotate(NEW, OLD))
    assert sum(counts) == 50
    for account in accounts:
        assert (await stored.pair(house.running, with_keys(house.settings, NEW), account)).access_token


# The command


async def command(monkeypatch: pytest.MonkeyPatch, settings: Settings, *keys: bytes) -> Result:
    """In a thread: it has an event loop of its own."""
    assert settings.jwt_secret is not None
    values = {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "JWT_ISSUER": settings.jwt_issuer,
        "JWT_AUDIENCE": settings.jwt_audience,
        "ENCRYPTION_KEYS": ",".join(base64.urlsafe_b64encode(key).decode() for key in keys),
        "TIKTOK_CLIENT_KEY": settings.tiktok_client_key,
        "TIKTOK_CLIENT_SECRET": settings.tiktok_client_secret.get_secret_value(),
        "PUBLIC_URL": settings.public_url,
    }
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    return await asyncio.to_thread(CliRunner().invoke, app, ["rotate-keys"])


async def test_the_command_says_how_much_it_did(monkeypatch: pytest.MonkeyPatch, house: House, viewer: str) -> None:
    await furnished(house, viewer)
    for count in (3, 0):
        result = await command(monkeypatch, house.settings, NEW, OLD)
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"{count} rows were re-encrypted." in result.stdout.splitlines()  # beside what the server here logs


async def test_values_that_no_key_opens_are_named_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, house: House, viewer: str
) -> None:
    account, _ = await furnished(house, viewer)
    before = await house.key_ids()
    result = await command(monkeypatch, house.settings, NEW, LOST)
    assert result.exit_code == 1
    assert "0 rows were re-encrypted." in result.stdout.splitlines()
    assert f"No key opens token_pairs of account {account.id}." in result.stderr
    assert "3 rows stay as they are. Add the key" in result.stderr
    assert await house.key_ids() == before
    assert (await stored.pair(house.running, house.settings, account)).access_token


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off in its key id": lambda sealed: sealed[:3],
    "cut off in its nonce": lambda sealed: sealed[:9],
    "cut off in its text": lambda sealed: sealed[:-1],
    "changed": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_the_command_goes_on_past_a_damaged_row(
    monkeypatch: pytest.MonkeyPatch, house: House, viewer: str, damage: Callable[[bytes], bytes]
) -> None:
    accounts = await many_pairs(house, viewer, 5)
    broken = accounts[2]
    async with house.running.db.transaction() as session:
        row = await token_pairs.find(session, viewer, broken.id)
        assert row is not None
        left = row.access_token = damage(row.access_token)
    result = await command(monkeypatch, house.settings, NEW, OLD)
    assert (result.exit_code, result.stdout) == (1, "4 rows were re-encrypted.\n")
    assert f"No key opens token_pairs of account {broken.id}." in result.stderr
    new = with_keys(house.settings, NEW)
    for account in accounts:
        if account is not broken:
            assert (await stored.pair(house.running, new, account)).access_token == f"token of {account.id}"
    async with house.running.db.read() as session:
        row = await token_pairs.find(session, viewer, broken.id)
    assert row is not None
    assert row.access_token == left


# Many servers, in two steps


STEPS = {
    "1, the new key behind the old one": ((OLD,), (OLD, NEW)),
    "2, the new key in front": ((OLD, NEW), (NEW, OLD)),
    "3, rotate-keys": ((NEW, OLD), (NEW, OLD)),
    "4, the old key gone from some": ((NEW, OLD), (NEW,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One of several on the same database."""

    running: Running
    api: Api

    async def cursors(self) -> tuple[str, ...]:
        page = (await self.api.data(PAGES))["accounts"]
        return tuple(edge["cursor"] for edge in page["edges"])


PAGES = "{ accounts(first: 50) { edges { cursor node { id status } } } }"


@asynccontextmanager
async def two_servers(settings: Settings, viewer: str, *lists: Sequence[bytes]) -> AsyncGenerator[list[Server]]:
    async with AsyncExitStack() as stack:
        servers = []
        for keys in lists:
            own = with_keys(settings, *keys)
            running = await stack.enter_async_context(open_services(own))
            url = await stack.enter_async_context(serving(own))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30)
            )
            servers.append(Server(running=running, api=Api(http=http, settings=own, viewer=viewer)))
        yield servers


async def test_the_steps_fail_no_read_no_refresh_and_no_cursor(house: House, viewer: str) -> None:
    """At each of them, every server opens what any server seals, and goes on from any server's cursor."""
    accounts = [await house.tiktok.connect(viewer) for _ in range(2)]
    cursors: set[tuple[str, ...]] = set()
    for step, lists in STEPS.items():
        async with two_servers(house.settings, viewer, *lists) as servers:
            if "rotate-keys" in step:
                await house.rotate(*lists[1])
                assert set().union(*(await house.key_ids()).values()) == {key_id(NEW)}
            for sealing, opening in (servers, servers[::-1]):
                for account in accounts:
                    house.tiktok.sandbox.state.expire_access_token(account.open_id)
                    for server in (sealing, opening):  # the first one refreshes, the other one uses the new pair
                        synced = await server.running.services.syncing.sync(Viewer(id=viewer), account.id)
                        assert synced.error is None, step
                begun = await sealing.running.services.authorizations.start(
                    Viewer(id=viewer), return_to=None, account_id=None
                )
                link = await flows.confirm_in_process(opening.running, begun.authorization_url)
                ended = await opening.running.services.authorizations.finish(
                    await consented(link, viewer), browser=flows.BROWSER
                )
                assert ended.connected is not None, step
                await opening.running.services.accounts.disconnect(Viewer(id=viewer), ended.connected.account.id, None)
                cursors.add(await sealing.cursors())
                after = (await opening.api.data(AFTER, after=next(iter(cursors))[0]))["accounts"]
                assert len(after["edges"]) == 1, step
    assert len(cursors) == 1
    assert {one.status for one in await stored.accounts(house.running, viewer) if one.disconnected_at is None} == {
        "ACTIVE"
    }
    assert "TOKEN_REFRESH_FAILED" not in await stored.actions(house.running, viewer)


AFTER = "query After($after: String) { accounts(after: $after) { edges { node { id } } } }"


async def consented(link: str, viewer: str) -> Callback:
    answer = await flows.give_consent(link, f"comes-and-goes-{viewer}")
    return Callback(state=answer["state"], code=answer["code"])


async def test_the_command_says_to_keep_the_old_key_until_every_server_has_the_list(
    monkeypatch: pytest.MonkeyPatch, house: House, viewer: str
) -> None:
    await furnished(house, viewer)
    result = await command(monkeypatch, house.settings, NEW, OLD)
    assert "can go once every server has the new list" in result.stdout
