"""Bearer JWT -> the viewer's id (RFC 6750, RFC 7519, and the advice of RFC 8725).

Which algorithms and keys count is this server's decision alone: a token names a key, it never brings or locates one.
Refusals say in general terms what is wrong, and never repeat any part of the token.
"""

import base64
import hashlib
import re
import time
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import jwt
from pydantic import SecretStr

from tiktok_accounts_gql.errors import Unauthenticated
from tiktok_accounts_gql.web import jwks

LARGEST_TOKEN = 8 * 1024
LONGEST_LEEWAY = timedelta(seconds=30)
LONGEST_SUBJECT = 255
SECRET_BYTES = 32
MOST_KNOWN = 10_000

_MISSING = "A bearer token is required."
_MALFORMED = "The Authorization header must be `Bearer` and a signed JSON Web Token."
_TOO_LARGE = f"The bearer token is larger than {LARGEST_TOKEN} bytes."
_EXPIRED = "The bearer token has expired."
_NOT_ACCEPTED = "The bearer token is not accepted here."

_SCHEME = "Bearer "
_COMPACT_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_TYPES = frozenset({"jwt", "at+jwt"})  # an access token by RFC 9068; not id+jwt, logout+jwt, dpop+jwt and others
_MEDIA_TYPE = "application/"  # before any of them, as RFC 7515 (4.1.9) has it
# Headers that bring or locate a key, and the one that names extensions to understand: this server understands none.
_REFUSED_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit"})
_REQUIRED_CLAIMS = ["sub", "exp", "iss", "aud"]
_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


class _Keys(Protocol):
    @property
    def algorithms(self) -> frozenset[str]: ...

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None: ...

    async def aclose(self) -> None: ...


class _SharedSecret:
    algorithms = frozenset({"HS256"})

    def __init__(self, secret: SecretStr) -> None:
        self._key = _shared_key(secret)

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        del kid, algorithm
        return self._key

    async def aclose(self) -> None:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a token speaks for, and until when.

    `expires_at` is the token's own word; `good_until` is when this server stops to accept it, the leeway later: a request,
    a socket and a stream all end then, or clients would come again and again with a token that one of them accepts.
    `name`: what people know this user by, or None if the token does not say.
    """

    viewer_id: str
    name: str | None
    expires_at: datetime
    good_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """A token whose signature and claims were found good: with this key, and as long as it has not expired."""

    key: jwt.PyJWK
    key_id: str | None
    algorithm: str
    identity: Identity
    good_until: float


class Authenticator:
    """Checks tokens, either with a shared secret (HS256) or with the public keys at a URL.

    `client_ids`: of the clients whose tokens are accepted without an audience.
    """

    def __init__(  # noqa: PLR0913 - what an operator decides, all by name
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
        if not timedelta(0) <= leeway <= LONGEST_LEEWAY:
            raise ValueError(f"The leeway must be from 0 to {LONGEST_LEEWAY.total_seconds():.0f} seconds.")
        self._expected: dict[str, Any] = {"issuer": issuer, "audience": audience, "leeway": leeway}
        self._client_ids = frozenset(client_ids)
        self._leeway = leeway.total_seconds()
        self._verified: dict[bytes, _Verified] = {}
        self._keys: _Keys
        match secret, jwks_url:
            case SecretStr(), None:
                self._keys = _SharedSecret(secret)
            case None, str():
                self._keys = jwks.JwksKeys(jwks_url, algorithms=algorithms, http=http, monotonic=monotonic)
            case _:
                raise ValueError("Either a secret or the URL of a key set is needed.")

    async def authenticate(self, authorization: str | None) -> str:
        """The viewer's id from an Authorization header. Raises Unauthenticated and ServiceUnavailable."""
        return (await self.identify(authorization)).viewer_id

    async def identify(self, authorization: str | None) -> Identity:
        """As `authenticate`, for connections that outlive one request.

        A header whose token was verified is known again, by its hash, until it expires or its key is no longer the same.
        """
        digest = hashlib.sha256((authorization or "").encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None and await self._is_still_good(known):
            return known.identity
        verified = await self._verify(_bearer_token(authorization))
        self._remember(digest, verified)
        return verified.identity

    async def _is_still_good(self, known: _Verified) -> bool:
        return time.time() < known.good_until and await self._keys.find(known.key_id, known.algorithm) is known.key

    async def _verify(self, token: str) -> _Verified:
        key_id, algorithm = _key_named_by(token, self._keys.algorithms)
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise Unauthenticated(_NOT_ACCEPTED)
        identity = _identity(self._verified_claims(token, key), self._leeway)
        good_until = identity.good_until.timestamp()
        return _Verified(key=key, key_id=key_id, algorithm=algorithm, identity=identity, good_until=good_until)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified.pop(digest, None)
        if len(self._verified) >= MOST_KNOWN:
            del self._verified[next(iter(self._verified))]  # the oldest one
        self._verified[digest] = verified

    async def aclose(self) -> None:
        await self._keys.aclose()

    def _verified_claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return self._decoded(token, key)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(_EXPIRED) from None
        except jwt.PyJWTError:
            raise Unauthenticated(_NOT_ACCEPTED) from None

    def _decoded(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        """Raises jwt.PyJWTError."""
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
        client = claims.get("client_id", claims.get("azp"))
        if "aud" in claims or not isinstance(client, str) or client not in self._client_ids:
            raise jwt.InvalidAudienceError
        return claims


def issue_token(secret: SecretStr, *, subject: str, issuer: str, audience: str, lifetime: timedelta) -> str:
    """A token as this server accepts it, for development and the demo. Raises ValueError."""
    if not _is_viewer_id(subject):
        raise ValueError(f"A subject has 1 to {LONGEST_SUBJECT} characters, no control characters among them.")
    now = datetime.now(UTC)
    claims = {"sub": subject, "iss": issuer, "aud": audience, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, _shared_key(secret))


def _bearer_token(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated(_MISSING)
    if len(authorization) > len(_SCHEME) + LARGEST_TOKEN:
        raise Unauthenticated(_TOO_LARGE)
    scheme, token = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
    if scheme.lower() != _SCHEME.lower() or not _COMPACT_JWS.fullmatch(token):
        raise Unauthenticated(_MALFORMED)
    return token


def _key_named_by(token: str, algorithms: Collection[str]) -> tuple[str | None, str]:
    """Key id and algorithm from a header that is not verified yet: good for looking up one of our own keys."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.DecodeError:
        raise Unauthenticated(_MALFORMED) from None
    except jwt.PyJWTError:
        raise Unauthenticated(_NOT_ACCEPTED) from None
    kind, algorithm = header.get("typ", "JWT"), header.get("alg")
    if (
        not isinstance(kind, str)
        or kind.lower().removeprefix(_MEDIA_TYPE) not in _TYPES
        or header.keys() & _REFUSED_HEADERS
    ):
        raise Unauthenticated(_NOT_ACCEPTED)
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise Unauthenticated(_NOT_ACCEPTED)
    return header.get("kid"), algorithm  # PyJWT refuses a kid that is not a string


def _identity(claims: dict[str, Any], leeway_seconds: float) -> Identity:
    # RFC 7519 wants numbers; PyJWT would also take "99" and true.
    numeric = all(type(claims.get(name, 0)) in (int, float) for name in ("exp", "nbf", "iat"))
    if not numeric or not _is_viewer_id(claims["sub"]):
        raise Unauthenticated(_NOT_ACCEPTED)
    expires_at = min(claims["exp"], _LAST_SECOND)
    good_until = min(expires_at // 1 + leeway_seconds, _LAST_SECOND)  # PyJWT compares whole seconds
    return Identity(
        viewer_id=claims["sub"],
        name=_name(claims),
        expires_at=datetime.fromtimestamp(expires_at, tz=UTC),
        good_until=datetime.fromtimestamp(good_until, tz=UTC),
    )


def _name(claims: dict[str, Any]) -> str | None:
    """The claims of OpenID Connect that a user cannot choose freely: not `name`, which may be that of anybody."""
    known = ("preferred_username",) if claims.get("email_verified") is False else ("email", "preferred_username")
    return next((text for text in map(claims.get, known) if isinstance(text, str) and _is_line(text)), None)


def _is_line(text: str) -> bool:
    """Whether a text reads as it is written: `isprintable` excludes what turns or hides the text around it."""
    return 0 < len(text) <= LONGEST_SUBJECT and text.isprintable()


def _is_viewer_id(subject: str) -> bool:
    """No control characters (Cc, NUL among them) and nothing that UTF-8 cannot hold (Cs)."""
    return 0 < len(subject) <= LONGEST_SUBJECT and not {unicodedata.category(char) for char in subject} & {"Cc", "Cs"}


def _shared_key(secret: SecretStr) -> jwt.PyJWK:
    value = secret.get_secret_value().encode()
    if len(value) < SECRET_BYTES:
        raise ValueError(f"The secret is weak: at least {SECRET_BYTES} bytes are needed (RFC 7518, section 3.2).")
    key = jwt.PyJWK({"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(value).decode()})
    try:
        key.Algorithm.prepare_key(value)
    except jwt.InvalidKeyError:
        raise ValueError("The secret is a key of a key pair or a certificate, and not a secret.") from None
    return key
