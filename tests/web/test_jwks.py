"""Public keys, from a real provider on this machine: what it serves, how often it is asked, and when it fails."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import Response

from tests.web.forging import AUDIENCE, ISSUER, NOT_ACCEPTED, SECRET, claims, forged, hs256, public_jwk, refusal
from tests.web.provider import Clock, Provider, bearer, fetched, jwk
from tiktok_accounts_gql.errors import ErrorCode, ServiceUnavailable
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.jwks import JwksKeys

OURS, NEW, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(3))
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
PEM = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
MINUTE, HOUR = 60, 3600


@pytest.fixture
def provider(key_server: Provider) -> Provider:
    key_server.reset(jwk("ours", OURS))
    return key_server


@pytest.fixture
async def authenticator(provider: Provider, clock: Clock) -> AsyncIterator[Authenticator]:
    authenticator = Authenticator(issuer=ISSUER, audience=AUDIENCE, jwks_url=provider.url, monotonic=clock)
    yield authenticator
    await authenticator.aclose()


async def unavailable(authenticator: Authenticator) -> None:
    with pytest.raises(ServiceUnavailable) as failed:
        await authenticator.authenticate(bearer("ours", OURS))
    assert failed.value.code is ErrorCode.SERVICE_UNAVAILABLE


async def test_tokens_of_each_kind_of_key_are_accepted(authenticator: Authenticator, provider: Provider) -> None:
    provider.serve(jwk("r", OURS), jwk("e", CURVE, "ES256"), jwk("o", EDWARDS, "EdDSA"))
    assert await authenticator.authenticate(bearer("r", OURS)) == "alice"
    assert await authenticator.authenticate(bearer("e", CURVE, "ES256")) == "alice"
    assert await authenticator.authenticate(bearer("o", EDWARDS, "EdDSA")) == "alice"
    assert provider.asked == ["/jwks.json"]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(bearer("ours", THEIRS), id="signed with another key"),
        pytest.param(bearer("ours", THEIRS, jwk=public_jwk(THEIRS)), id="brings its key"),
        pytest.param(bearer("ours", OURS, jwk=public_jwk(THEIRS)), id="brings a key it does not use"),
        pytest.param(bearer("ours", OURS, jku="/evil.json"), id="locates its key"),
        pytest.param(bearer("ours", OURS, x5u="/evil.pem"), id="locates its certificate"),
        pytest.param(bearer("http://127.0.0.1/evil.json", THEIRS), id="kid is a URL"),
        pytest.param(bearer("../../../../dev/null", OURS), id="kid is a path"),
        pytest.param(bearer("' UNION SELECT 'ours", OURS), id="kid is SQL"),
        pytest.param(bearer("ours\0", OURS), id="kid with NUL"),
        pytest.param(bearer("\ud800", OURS), id="kid is a lone surrogate"),
        pytest.param(bearer({"ours": 1}, OURS), id="kid is an object"),
        pytest.param(bearer("ours", OURS, "PS256"), id="another algorithm for the key"),
        pytest.param(bearer("ours", CURVE, "ES256"), id="an algorithm for another kind of key"),
        pytest.param(bearer("ours", OURS, alg="none"), id="none"),
        pytest.param(bearer("ours", OURS, alg=["RS256"]), id="alg is a list"),
        pytest.param("Bearer " + forged({"alg": "HS256", "kid": "ours"}, claims(), hs256(PEM)), id="signed with PEM"),
        pytest.param(
            "Bearer " + forged({"alg": "HS256"}, claims(), hs256(SECRET.get_secret_value().encode())),
            id="with a secret",
        ),
    ],
)
async def test_a_token_that_tricks_with_keys_is_refused(
    authenticator: Authenticator, provider: Provider, token: str
) -> None:
    assert NOT_ACCEPTED in await refusal(authenticator, token)
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"
    assert provider.asked == ["/jwks.json"]


@pytest.mark.parametrize(
    "secret", [PEM, PEM.strip(), json.dumps(public_jwk(OURS)).encode()], ids=["PEM", "bare", "JWK"]
)
async def test_a_token_signed_with_the_public_key_is_refused(authenticator: Authenticator, secret: bytes) -> None:
    token = forged({"alg": "HS256", "kid": "ours"}, claims(), hs256(secret))
    assert NOT_ACCEPTED in await refusal(authenticator, f"Bearer {token}")


async def test_algorithms_are_the_operators_choice(provider: Provider) -> None:
    provider.serve(jwk("r", OURS), jwk("e", CURVE, "ES256"))
    keys = JwksKeys(provider.url, algorithms=["ES256"])
    assert await keys.find("e", "ES256")
    assert await keys.find("r", "RS256") is None
    await keys.aclose()


WEAK = rsa.generate_private_key(65537, 1024)
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("found", "served"),
    [
        pytest.param(True, jwk("k", OURS, alg="RS256", use="sig", key_ops=["verify"]), id="says what it is for"),
        pytest.param(True, jwk("k", OURS, d="AQAB"), id="private members are not looked at"),
        pytest.param(False, jwk("k", OURS, use="enc"), id="for encryption"),
        pytest.param(False, jwk("k", OURS, key_ops=["encrypt"]), id="for another operation"),
        pytest.param(False, jwk("k", OURS, key_ops="verify"), id="operations are not a list"),
        pytest.param(False, jwk("k", OURS, alg="RS512"), id="for another algorithm"),
        pytest.param(False, jwk("k", OURS, alg=["RS256"]), id="algorithm is a list"),
        pytest.param(False, jwk("k", OURS, kty="EC"), id="of another type"),
        pytest.param(False, jwk("k", OURS, kty=["RSA"]), id="type is a list"),
        pytest.param(False, jwk("k", OURS, n=...), id="without its modulus"),
        pytest.param(False, jwk("k", OURS, n=5), id="modulus is a number"),
        pytest.param(False, jwk(7, OURS), id="id is a number"),
        pytest.param(False, jwk("k", WEAK), id="1024 bits"),
        pytest.param(False, jwk("k", OTHER_CURVE, "ES384"), id="another curve"),
        pytest.param(False, {"kty": "oct", "kid": "k", "alg": "RS256", "k": "c2VjcmV0" * 8}, id="a shared secret"),
        pytest.param(False, "k", id="not an object"),
    ],
)
async def test_only_public_keys_for_signatures_are_used(provider: Provider, found: bool, served: Any) -> None:
    provider.serve(served, jwk("another", NEW))
    keys = JwksKeys(provider.url)
    assert await keys.find("another", "RS256")
    assert [bool(await keys.find("k", algorithm)) for algorithm in ("RS256", "ES256", "HS256")] == [found, False, False]
    await keys.aclose()


async def test_without_a_kid_only_a_lone_key_is_meant(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    assert await authenticator.authenticate(bearer(None, OURS)) == "alice"
    provider.serve(jwk("new", NEW), jwk("ours", OURS))
    clock.now += 5 * MINUTE
    assert await authenticator.authenticate(bearer(None, OURS)) == "alice"
    await fetched(authenticator)
    for key in (NEW, OURS):
        assert NOT_ACCEPTED in await refusal(authenticator, bearer(None, key))
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"


async def test_many_at_once_fetch_once(authenticator: Authenticator, provider: Provider) -> None:
    provider.delay_seconds = 0.05
    await asyncio.gather(*(authenticator.authenticate(bearer("ours", OURS)) for _ in range(50)))
    assert len(provider.asked) == 1


async def test_a_set_is_used_for_five_minutes(authenticator: Authenticator, provider: Provider, clock: Clock) -> None:
    await authenticator.authenticate(bearer("ours", OURS))
    provider.serve(jwk("new", NEW))
    clock.now += 5 * MINUTE - 1
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"
    clock.now += 1
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"  # until the next set is there
    await fetched(authenticator)
    assert NOT_ACCEPTED in await refusal(authenticator, bearer("ours", OURS))
    assert len(provider.asked) == 2


async def test_a_new_key_is_found_without_waiting(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    await authenticator.authenticate(bearer("ours", OURS))
    provider.serve(jwk("ours", OURS), jwk("new", NEW))
    clock.now += MINUTE
    assert await authenticator.authenticate(bearer("new", NEW)) == "alice"
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"
    assert len(provider.asked) == 2


async def test_unknown_key_ids_fetch_once_a_minute(
    authenticator: Authenticator, provider: Provider, clock: Clock
) -> None:
    start = clock.now
    for second in range(0, 4 * MINUTE, 2):
        clock.now = start + second
        await refusal(authenticator, bearer(f"unknown-{second}", THEIRS))
    assert len(provider.asked) == 4


async def test_a_stale_set_is_used_for_a_day(authenticator: Authenticator, provider: Provider, clock: Clock) -> None:
    await authenticator.authenticate(bearer("ours", OURS))
    provider.break_down()
    for _ in range(23):
        clock.now += HOUR
        assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"
        assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"
        await fetched(authenticator)
    assert len(provider.asked) == 24
    clock.now += HOUR
    await unavailable(authenticator)
    provider.serve(jwk("ours", OURS))
    clock.now += 5
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"


async def test_an_empty_set_is_believed(authenticator: Authenticator, provider: Provider, clock: Clock) -> None:
    await authenticator.authenticate(bearer("ours", OURS))
    provider.serve()
    clock.now += 5 * MINUTE
    await authenticator.authenticate(bearer("ours", OURS))
    await fetched(authenticator)
    assert NOT_ACCEPTED in await refusal(authenticator, bearer("ours", OURS))


GOOD = json.dumps({"keys": [jwk("ours", OURS)]})


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Response(GOOD, 500), id="500"),
        pytest.param(Response(GOOD, 404), id="404"),
        pytest.param(Response(GOOD, 302, {"Location": "/elsewhere.json"}), id="redirect"),
        pytest.param(Response("<html>"), id="HTML"),
        pytest.param(Response(b"\xff\xfe\xff"), id="not text"),
        pytest.param(Response(f"[{GOOD}]"), id="list"),
        pytest.param(Response('{"keys": {}}'), id="keys are an object"),
        pytest.param(Response('{"error": "no"}'), id="no keys"),
        pytest.param(Response("[" * 200_000), id="deep"),
        pytest.param(Response(GOOD + " " * 256 * 1024), id="over 256 KiB"),
        pytest.param(Response(gzip.compress(GOOD.encode()), headers={"Content-Encoding": "gzip"}), id="compressed"),
    ],
)
async def test_without_any_keys_the_service_is_unavailable(
    authenticator: Authenticator, provider: Provider, clock: Clock, answer: Response
) -> None:
    provider.answer = answer
    for _ in range(3):
        await unavailable(authenticator)
    assert provider.asked == ["/jwks.json"]
    provider.serve(jwk("ours", OURS))
    clock.now += 5
    assert await authenticator.authenticate(bearer("ours", OURS)) == "alice"


async def test_a_provider_that_is_not_there_is_unavailable() -> None:
    authenticator = Authenticator(issuer=ISSUER, audience=AUDIENCE, jwks_url="http://127.0.0.1:9/jwks.json")
    await unavailable(authenticator)
    await authenticator.aclose()


async def test_a_provider_that_drips_is_given_up() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    async with httpx.AsyncClient(transport=transport) as http:
        keys = JwksKeys("https://id.example.com/jwks.json", http=http, timeout_seconds=0.1)
        with pytest.raises(ServiceUnavailable):
            await keys.find("ours", "RS256")


async def test_a_client_that_was_given_stays_open_and_an_own_one_is_closed(provider: Provider) -> None:
    async with httpx.AsyncClient() as http:
        keys = JwksKeys(provider.url, http=http)
        await keys.find("ours", "RS256")
        await keys.aclose()
        assert not http.is_closed
    own = JwksKeys(provider.url)
    await own.aclose()
    with pytest.raises(ServiceUnavailable):
        await own.find("ours", "RS256")
    assert provider.asked == ["/jwks.json"]
