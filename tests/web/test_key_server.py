"""A provider of keys in trouble delays no sign-in that needs nothing of it: in a real one on this machine."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import Response, StreamingResponse

from tests.web.provider import Clock, Provider, jwk
from tiktok_accounts_gql.web.jwks import JwksKeys

KEY = rsa.generate_private_key(65537, 2048)
TIMEOUT = 0.4
AT_ONCE = 0.2
MINUTE, DAY = 60, 24 * 3600


@pytest.fixture
def provider(key_server: Provider) -> Provider:
    key_server.reset(jwk("known", KEY))
    return key_server


@pytest.fixture
async def keys(provider: Provider, clock: Clock) -> AsyncIterator[JwksKeys]:
    keys = JwksKeys(provider.url, monotonic=clock)
    assert await keys.find("known", "RS256")  # with the usual time-out: this machine may be busy
    keys._timeout_seconds = TIMEOUT
    yield keys
    await keys.aclose()


def hang(provider: Provider) -> None:
    provider.delay_seconds = 2


def drip(provider: Provider) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.1)

    provider.answer = StreamingResponse(drops())


def break_down(provider: Provider) -> None:
    provider.break_down()


def talk_nonsense(provider: Provider) -> None:
    provider.answer = Response("<html>")


trouble = pytest.mark.parametrize("trouble", [hang, drip, break_down, talk_nonsense])


async def seconds_of_finding(keys: JwksKeys, kid: str = "known", *, there: bool = True) -> float:
    began = time.monotonic()
    assert bool(await keys.find(kid, "RS256")) is there
    return time.monotonic() - began


@trouble
async def test_known_keys_are_found_at_once_for_a_day(
    keys: JwksKeys, provider: Provider, clock: Clock, trouble: object
) -> None:
    trouble(provider)  # type: ignore[operator]
    for _ in range(4):
        clock.now += 5 * MINUTE
        assert await seconds_of_finding(keys) < AT_ONCE
        assert max(await asyncio.gather(*[seconds_of_finding(keys) for _ in range(20)])) < AT_ONCE
        await asyncio.wait([keys._fetch_task], timeout=10) if keys._fetch_task else None
    assert len(provider.asked) == 1 + 4


@trouble
async def test_an_unknown_key_waits_once_a_minute_and_for_itself_alone(
    keys: JwksKeys, provider: Provider, clock: Clock, trouble: object
) -> None:
    trouble(provider)  # type: ignore[operator]
    clock.now += MINUTE
    waiting = [asyncio.create_task(seconds_of_finding(keys, f"unknown-{n}", there=False)) for n in range(5)]
    await asyncio.sleep(0)
    assert await seconds_of_finding(keys) < AT_ONCE
    assert max(await asyncio.gather(*waiting)) < TIMEOUT + AT_ONCE
    clock.now += MINUTE - 1
    assert await seconds_of_finding(keys, "unknown", there=False) < AT_ONCE
    assert len(provider.asked) == 2


async def test_a_caller_that_leaves_ends_no_fetch(keys: JwksKeys, provider: Provider, clock: Clock) -> None:
    provider.serve(jwk("known", KEY), jwk("new", KEY))
    provider.delay_seconds = 0.2
    clock.now += MINUTE
    leaving = asyncio.create_task(keys.find("new", "RS256"))
    staying = asyncio.create_task(keys.find("new", "RS256"))
    await asyncio.sleep(0.05)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    assert leaving.cancelled()
    assert await staying
    assert len(provider.asked) == 2


async def test_closing_ends_a_fetch_that_hangs(provider: Provider, clock: Clock) -> None:
    keys = JwksKeys(provider.url, monotonic=clock, timeout_seconds=60)
    await keys.find("known", "RS256")
    provider.delay_seconds = 2
    clock.now += 5 * MINUTE
    assert await keys.find("known", "RS256")
    fetch = keys._fetch_task
    assert fetch is not None
    began = time.monotonic()
    await keys.aclose()
    assert time.monotonic() - began < 1
    assert fetch.cancelled()


async def test_a_recovered_provider_is_believed_after_the_pause(
    keys: JwksKeys, provider: Provider, clock: Clock
) -> None:
    provider.break_down()
    clock.now += 5 * MINUTE
    await keys.find("known", "RS256")
    assert keys._fetch_task
    await asyncio.wait([keys._fetch_task])
    provider.serve(jwk("another", KEY))
    clock.now += MINUTE
    assert await keys.find("known", "RS256")
    assert keys._fetch_task
    await asyncio.wait([keys._fetch_task])
    assert await keys.find("known", "RS256") is None
    assert await keys.find("another", "RS256")
