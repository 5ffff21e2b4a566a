"""Verifies bearer tokens, which are JSON Web Tokens (RFC 6750, RFC 7519, with the advice of RFC 8725).

This server alone decides which algorithms and keys it accepts: a token names a key, it never contains or locates one. Error
messages say in general terms what is wrong, and never repeat any part of the token.
"""

import hashlib
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import jwt
from pydantic import SecretStr

from tiktok_accounts_gql.errors import Unauthenticated
from tiktok_accounts_gql.web import jwks, shared_secret
from tiktok_accounts_gql.web.identity import MAX_SUBJECT_LENGTH, Identity, find_identity, is_viewer_id
from tiktok_accounts_gql.web.shared_secret import SharedSecretKeys

MAX_TOKEN_LENGTH = 8 * 1024
MAX_LEEWAY = timedelta(seconds=30)
MAX_CACHED_TOKENS = 10_000

_MISSING = "A bearer token is required."
_MALFORMED = "The Authorization header must be `Bearer` and a signed JSON Web Token."
_TOO_LARGE = f"The bearer token is larger than {MAX_TOKEN_LENGTH} bytes."
_EXPIRED = "The bearer token has expired."
_NOT_ACCEPTED = "The bearer token is not accepted here."

_SCHEME = "Bearer "
_COMPACT_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_TYPES = frozenset({"jwt", "at+jwt"})  # an access token by RFC 9068; not id+jwt, logout+jwt, dpop+jwt and others
_MEDIA_TYPE = "application/"  # an optional prefix of the type (RFC 7515, section 4.1.9)
# Headers that contain or locate a key, and the one that lists extensions to understand: this server understands none.
_REFUSED_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
_REQUIRED_CLAIMS = ["sub", "exp", "iss", "aud"]


class KeySet(Protocol):
    """The keys that verify tokens."""

    @property
    def algorithms(self) -> frozenset[str]: ...

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _VerifiedToken:
    """A verified token. It stays valid until it expires (`valid_until`, a Unix time), or its key is another one."""

    key: jwt.PyJWK
    key_id: str | None
    algorithm: str
    identity: Identity
    valid_until: float


class Authenticator:
    """Verifies tokens, either with a shared secret (HS256) or with the public keys at a URL.

    `client_ids`: of the clients whose tokens are accepted without an audience.
    """

    def __init__(  # noqa: PLR0913 - settings, all passed by name
        self,
        *,
        issuer: str,
        audience: str,
        client_ids: Collection[str] = (),
        leeway: timedelta = timedelta(seconds=10),
        secret: SecretStr | None = None,
        jwks_url: str | None = None,
        algorithms: Collection[str] = jwks.ALGORITHMS,
        http: httpx.AsyncClient | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("Issuer and audience are needed: without them any application's tokens would do.")
        if not timedelta(0) <= leeway <= MAX_LEEWAY:
            raise ValueError(f"The leeway must be from 0 to {MAX_LEEWAY.total_seconds():.0f} seconds.")
        self._expected: dict[str, Any] = {"issuer": issuer, "audience": audience, "leeway": leeway}
        self._client_ids = frozenset(client_ids)
        self._leeway_seconds = leeway.total_seconds()
        self._verified: dict[bytes, _VerifiedToken] = {}  # by the hash of the header
        self._keys: KeySet
        match secret, jwks_url:
            case SecretStr(), None:
                self._keys = SharedSecretKeys(secret)
            case None, str():
                self._keys = jwks.JwksKeys(jwks_url, algorithms=algorithms, http=http, monotonic=monotonic)
            case _:
                raise ValueError("Either a secret or the URL of a key set is needed.")

    async def authenticate(self, authorization: str | None) -> str:
        """Return the viewer's id for an Authorization header. Raises Unauthenticated and ServiceUnavailable."""
        return (await self.identify(authorization)).viewer_id

    async def identify(self, authorization: str | None) -> Identity:
        """Return the identity for an Authorization header. Raises Unauthenticated and ServiceUnavailable.

        A verified header is cached by its hash, until the token expires or its key is replaced.
        """
        digest = hashlib.sha256((authorization or "").encode("utf-8", "surrogatepass")).digest()
        cached = self._verified.get(digest)
        if (
            cached is not None
            and time.time() < cached.valid_until
            and await self._keys.find(cached.key_id, cached.algorithm) is cached.key
        ):
            return cached.identity
        verified = await self._verify(_get_token(authorization))
        self._verified.pop(digest, None)
        if len(self._verified) >= MAX_CACHED_TOKENS:
            del self._verified[next(iter(self._verified))]  # the oldest one
        self._verified[digest] = verified
        return verified.identity

    async def aclose(self) -> None:
        await self._keys.aclose()

    async def _verify(self, token: str) -> _VerifiedToken:
        key_id, algorithm = _read_header(token, self._keys.algorithms)
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise Unauthenticated(_NOT_ACCEPTED)
        try:
            claims = self._decode(token, key)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(_EXPIRED) from None
        except jwt.PyJWTError:
            raise Unauthenticated(_NOT_ACCEPTED) from None
        identity = find_identity(claims, self._leeway_seconds)
        if identity is None:
            raise Unauthenticated(_NOT_ACCEPTED)
        valid_until = identity.valid_until.timestamp()
        return _VerifiedToken(key=key, key_id=key_id, algorithm=algorithm, identity=identity, valid_until=valid_until)

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        """Return the claims. A token without an audience is accepted from a known client. Raises jwt.PyJWTError."""
        algorithms = sorted(self._keys.algorithms)
        try:
            return jwt.decode(token, key, algorithms, {"require": _REQUIRED_CLAIMS}, **self._expected)
        except jwt.MissingRequiredClaimError as error:
            if error.claim != "aud" or not self._client_ids:
                raise
        options: jwt.types.Options = {
            "require": [name for name in _REQUIRED_CLAIMS if name != "aud"],
            "verify_aud": False,
        }
        claims: dict[str, Any] = jwt.decode(token, key, algorithms, options, **self._expected)
        client_id = claims.get("client_id", claims.get("azp"))
        if "aud" in claims or not isinstance(client_id, str) or client_id not in self._client_ids:
            raise jwt.InvalidAudienceError
        return claims


def issue_token(secret: SecretStr, *, subject: str, issuer: str, audience: str, lifetime: timedelta) -> str:
    """Return a token that this server accepts, for development and the demo. Raises ValueError for an invalid subject."""
    if not is_viewer_id(subject):
        raise ValueError(f"A subject has 1 to {MAX_SUBJECT_LENGTH} characters, no control characters among them.")
    now = datetime.now(UTC)
    claims = {"sub": subject, "iss": issuer, "aud": audience, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, shared_secret.to_jwk(secret))


def _get_token(authorization: str | None) -> str:
    """Return the token of an Authorization header. Raises Unauthenticated."""
    if not authorization:
        raise Unauthenticated(_MISSING)
    if len(authorization) > len(_SCHEME) + MAX_TOKEN_LENGTH:
        raise Unauthenticated(_TOO_LARGE)
    scheme, token = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
    if scheme.lower() != _SCHEME.lower() or not _COMPACT_JWS.fullmatch(token):
        raise Unauthenticated(_MALFORMED)
    return token


def _read_header(token: str, algorithms: Collection[str]) -> tuple[str | None, str]:
    """Return key id and algorithm. They are not verified yet, and serve only to look up one of this server's own keys."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.DecodeError:
        raise Unauthenticated(_MALFORMED) from None
    except jwt.PyJWTError:
        raise Unauthenticated(_NOT_ACCEPTED) from None
    token_type, algorithm = header.get("typ", "JWT"), header.get("alg")
    is_refused = (
        not isinstance(token_type, str)
        or token_type.lower().removeprefix(_MEDIA_TYPE) not in _TYPES
        or header.keys() & _REFUSED_HEADERS
    )
    if is_refused or not isinstance(algorithm, str) or algorithm not in algorithms:
        raise Unauthenticated(_NOT_ACCEPTED)
    return header.get("kid"), algorithm  # PyJWT has checked that a kid is a string
