"""Tokens made by hand, because libraries refuse to make most of these."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from tiktok_accounts_gql.errors import ErrorCode, Unauthenticated
from tiktok_accounts_gql.web.authentication import Authenticator

ISSUER = "https://id.example.com/"
AUDIENCE = "tiktok-accounts"
SECRET = SecretStr("0123456789abcdef0123456789abcdef")

MISSING = "A bearer token is required."
MALFORMED = "must be `Bearer`"
TOO_LARGE = "larger than 8192 bytes"
EXPIRED = "has expired"
NOT_ACCEPTED = "is not accepted"

Changes = dict[str, Any]
Sign = Callable[[bytes], bytes]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def in_seconds(seconds: float) -> int:
    return int(time.time() + seconds)


def changed(values: Changes, changes: Changes) -> Changes:
    """With the changes; `...` leaves a member out."""
    return {name: value for name, value in (values | changes).items() if value is not ...}


def claims(**changes: Any) -> Changes:
    # An hour, because tables of tests are made long before the tests run.
    good = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "exp": in_seconds(3600), "iat": in_seconds(0)}
    return changed(good, changes)


def forged(header: Any, payload: Any, sign: Sign) -> str:
    body = f"{_encoded(header)}.{_encoded(payload)}"
    return f"{body}.{_encoded(sign(body.encode()))}"


def hs256(key: bytes) -> Sign:
    return lambda body: hmac.digest(key, body, hashlib.sha256)


def by(key: PrivateKey, algorithm: str = "RS256") -> Sign:
    return lambda body: jwt.get_algorithm_by_name(algorithm).sign(body, key)


def public_jwk(key: PrivateKey, algorithm: str = "RS256") -> Changes:
    jwk = type(jwt.get_algorithm_by_name(algorithm)).to_jwk(key.public_key(), as_dict=True)
    return dict(jwk)


async def refusal(authenticator: Authenticator, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await authenticator.authenticate(authorization)
    assert refused.value.code is ErrorCode.UNAUTHENTICATED
    assert refused.value.__cause__ is None
    return refused.value.message


def _encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
