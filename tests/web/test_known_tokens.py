"""Tokens that come again are verified once, and known no longer than they are good."""

import asyncio
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.web.forging import AUDIENCE, ISSUER, NOT_ACCEPTED, SECRET, claims, forged, hs256
from tests.web.provider import Clock, bearer, fetched, jwk, serving
from tiktok_accounts_gql.errors import Unauthenticated
from tiktok_accounts_gql.web import authentication
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.jwks import FRESH_SECONDS

Verified = list[str]


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Verified:
    """The tokens whose signatures were checked, in order."""
    tokens: Verified = []
    decode = jwt.decode

    def counted(token: str, *args: object, **options: object) -> object:
        tokens.append(token)
        return decode(token, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(jwt, "decode", counted)
    return tokens


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(issuer=ISSUER, audience=AUDIENCE, leeway=timedelta(0), secret=SECRET)


def token(viewer: str = "alice", seconds: float = 60) -> str:
    good = claims(sub=viewer, exp=time.time() + seconds)
    return f"Bearer {forged({'alg': 'HS256'}, good, hs256(SECRET.get_secret_value().encode()))}"


async def refused(authenticator: Authenticator, authorization: str) -> str:
    with pytest.raises(Unauthenticated) as failed:
        await authenticator.authenticate(authorization)
    return failed.value.message


async def test_a_token_is_verified_once(authenticator: Authenticator, verified: Verified) -> None:
    alices, bobs = token("alice"), token("bob")
    for _ in range(3):
        assert await authenticator.authenticate(alices) == "alice"
        assert await authenticator.authenticate(bobs) == "bob"
    assert len(verified) == 2


async def test_a_known_token_ends_when_it_expires(authenticator: Authenticator, verified: Verified) -> None:
    short = token(seconds=1)
    assert await authenticator.authenticate(short) == "alice"
    await asyncio.sleep(1.1)
    assert "expired" in await refused(authenticator, short)
    assert len(verified) == 2


async def test_what_resembles_a_known_token_is_verified(authenticator: Authenticator) -> None:
    known = token()
    await authenticator.authenticate(known)
    head, claimed, signature = known.split(".")
    for altered in (f"{head}.{claimed}.{signature[::-1]}", f"{head}.{claimed[::-1]}.{signature}"):
        assert await refused(authenticator, altered)


async def test_a_refused_token_is_never_known(authenticator: Authenticator, verified: Verified) -> None:
    old = token(seconds=-5)
    for _ in range(2):
        await refused(authenticator, old)
    assert len(verified) == 2


async def test_the_oldest_ones_are_forgotten(
    authenticator: Authenticator, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MAX_CACHED_TOKENS", 3)
    tokens = [token(f"viewer {number}") for number in range(4)]
    for one in (*tokens, tokens[-1], tokens[0]):
        await authenticator.authenticate(one)
    assert [f"Bearer {one}" for one in verified] == [*tokens, tokens[0]]


async def test_a_key_that_is_withdrawn_takes_its_known_tokens_along() -> None:
    ours, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    clock = Clock()
    with serving() as provider:
        provider.serve(jwk("ours", ours, "ES256"))
        authenticator = Authenticator(issuer=ISSUER, audience=AUDIENCE, jwks_url=provider.url, monotonic=clock)
        signed = bearer("ours", ours, "ES256")
        assert await authenticator.authenticate(signed) == "alice"
        provider.serve(jwk("theirs", theirs, "ES256"))
        assert await authenticator.authenticate(signed) == "alice"
        clock.now += FRESH_SECONDS
        assert await authenticator.authenticate(signed) == "alice"  # while the new set is fetched
        await fetched(authenticator)
        assert NOT_ACCEPTED in await refused(authenticator, signed)
        await authenticator.aclose()
