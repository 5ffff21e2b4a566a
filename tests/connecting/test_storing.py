"""Writes that must not be lost: how long they are tried, who waits for them, and what a stop does."""

import asyncio
import signal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.cli.serving import run_server
from tests.connecting import stored
from tests.connecting.tokens import expire_access_token, get_issued_pair
from tests.support.account_operations import SYNC
from tests.support.away import lock
from tests.support.backends import on_sqlite
from tests.support.tapping import tapped
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.errors import AppError, ReauthorizationRequired, ServiceUnavailable
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running


class Away:
    """A database that is away for so many calls, or for ever."""

    def __init__(self, calls: float, error: Exception | None = None) -> None:
        self.calls = calls
        self.error = error or ServiceUnavailable()
        self.seen = 0

    async def __call__(self) -> str:
        self.seen += 1
        if self.seen <= self.calls:
            raise self.error
        return "stored"


FOR_EVER = float("inf")


async def test_a_write_is_tried_until_it_works_and_the_log_says_so() -> None:
    with capture_logs() as logs:
        assert await DurableWriter().store("key", Away(3), account_id="a") == "stored"
    assert [line["event"] for line in logs] == ["tokens held in memory until the database takes them", "tokens stored"]
    assert {line["account_id"] for line in logs} == {"a"}


async def test_one_that_works_at_once_says_nothing() -> None:
    with capture_logs() as logs:
        assert await DurableWriter().store("key", Away(0)) == "stored"
    assert logs == []


async def test_something_unexpected_is_tried_again_as_well() -> None:
    assert await DurableWriter().store("key", Away(2, RuntimeError("odd"))) == "stored"


async def test_an_outcome_is_no_failure() -> None:
    write = Away(FOR_EVER, ReauthorizationRequired())
    with pytest.raises(ReauthorizationRequired):
        await DurableWriter().store("key", write)
    assert write.seen == 1


async def test_whoever_waits_is_told_and_the_write_goes_on_for_those_who_come_later() -> None:
    storing, write = DurableWriter(), Away(6)
    with pytest.raises(ServiceUnavailable):
        await storing.store("key", write, timeout=0.05)
    assert await storing.join("key") == "stored"
    assert await storing.join("key") is None
    assert write.seen == 7


async def test_what_happens_meanwhile_may_fail_and_is_asked_for_before_each_try() -> None:
    meanwhile = Away(FOR_EVER, OSError("away"))
    assert await DurableWriter().store("key", Away(2), between_attempts=meanwhile) == "stored"  # type: ignore[arg-type]
    assert meanwhile.seen == 2


async def test_a_stop_waits_for_what_is_held() -> None:
    storing, write = DurableWriter(), Away(4)
    with pytest.raises(ServiceUnavailable):
        await storing.store("key", write, timeout=0.01)
    await storing.settle()
    assert write.seen == 5


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
async def test_a_stop_does_not_wait_for_ever_and_the_log_says_what_is_lost(*, hangs: bool) -> None:
    storing = DurableWriter(stop_seconds=0.2)

    async def away() -> str:
        if hangs:
            await asyncio.Event().wait()
        raise ServiceUnavailable

    with pytest.raises(ServiceUnavailable):
        await storing.store("key", away, timeout=0.05, account_id="a")
    with capture_logs() as logs:
        async with asyncio.timeout(2):
            await storing.settle()
        with pytest.raises(AppError):  # one that begins after the stop has no longer
            await storing.store("other", away, account_id="b")
    lost = [line for line in logs if line["log_level"] == "critical"]
    assert [line["account_id"] for line in lost] == ["a", "b"]


@pytest.mark.proof
@on_sqlite
async def test_a_server_that_is_told_to_stop_stores_what_it_holds(
    tiktok: TikTok, running: Running, settings: Settings, viewer: str, tmp_path: Path
) -> None:
    account = await tiktok.connect(viewer)
    await expire_access_token(running, tiktok, account)
    told = asyncio.Event()

    async def on_reply(data: bytes) -> bytes:
        if b'"access_token"' in data:
            await lock(settings.database_url, 13)  # longer than SQLite waits by itself
            told.set()
        return data

    async with tapped(settings.tiktok_api_url) as wire:
        wire.on_reply = on_reply
        own = settings.model_copy(update={"tiktok_api_url": wire.url})
        async with run_server(tmp_path, own, viewer, "--no-worker") as (server, api):
            asked = asyncio.create_task(api.post(SYNC, {"id": ids.encode(ids.NodeKind.ACCOUNT, account.id)}))
            await asyncio.wait_for(told.wait(), 20)
            assert await asyncio.to_thread(server.end, signal.SIGTERM, seconds=60) == 0
            await asyncio.gather(asked, return_exceptions=True)
            log = server.err.read_text()
    grant = get_issued_pair(tiktok, account)
    assert await stored.pair(running, settings, account) == grant
    assert "tokens held in memory" in log
    assert "tokens stored" in log
    assert grant.access_token not in log
    assert str(grant.refresh_token) not in log
