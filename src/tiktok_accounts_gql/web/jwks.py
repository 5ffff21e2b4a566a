"""An identity provider's public keys: a JSON Web Key Set (RFC 7517) at a URL that the operator gives.

A set is fresh for 5 minutes and usable for a day. Whoever finds it stale uses it and has it fetched again beside the
request: a provider that hangs or is away delays nobody who holds a known key. The price: a withdrawn key stays good until
that fetch has ended, and for the day if the provider is away. A well-formed set is believed, an empty one too.

Only two kinds of requests wait for the provider, for the time-out at most: those with a key id that is not in the set, for
which it is fetched once a minute at most, whatever clients send; and all of them while no usable set is there.
"""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import httpx
import structlog
from jwt import PyJWK, PyJWTError

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.tls import get_ssl_context

FRESH_SECONDS = 5 * 60
STALE_SECONDS = 24 * 60 * 60
PAUSE_SECONDS = 60
EMPTY_PAUSE_SECONDS = 5  # without a key every request fails: try again sooner, but not for every request
LARGEST_SET = 256 * 1024

# Only public keys of these kinds are taken: a shared secret ("oct") in a public place is none.
_ALGORITHMS = {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}
ALGORITHMS = frozenset(_ALGORITHMS.values())
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")

log = structlog.get_logger()


class JwksKeys:
    """Finds keys by key id and algorithm, so that a key never serves an algorithm that is not its own."""

    def __init__(
        self,
        url: str,
        *,
        algorithms: Collection[str] = ALGORITHMS,
        http: httpx.AsyncClient | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_seconds: float = 5,
    ) -> None:
        if not algorithms or not ALGORITHMS.issuperset(algorithms):
            raise ValueError(f"Algorithms of a key set can be {', '.join(sorted(ALGORITHMS))}.")
        self.algorithms = frozenset(algorithms)
        self._url = httpx.URL(url)
        self._http = http or httpx.AsyncClient(verify=get_ssl_context())
        self._owns_http = http is None
        self._monotonic = monotonic
        self._timeout_seconds = timeout_seconds
        self._fetching: asyncio.Task[None] | None = None
        self._keys: dict[tuple[str | None, str], PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf

    async def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """Without `kid` only the one key of its algorithm is meant. Raises ServiceUnavailable if keys are unknown."""
        age = self._age()
        if age >= STALE_SECONDS:
            await self._fetched()
            if self._age() >= STALE_SECONDS:
                raise ServiceUnavailable("The keys to check tokens with cannot be fetched. Try again later.")
        elif age >= FRESH_SECONDS:
            self._begin_fetch()
        if (kid, algorithm) not in self._keys:
            await self._fetched()
        return self._keys.get((kid, algorithm))

    async def served(self) -> list[str]:
        """The algorithms of the keys that are served now. Raises httpx.HTTPError, TimeoutError, ValueError."""
        async with asyncio.timeout(self._timeout_seconds):
            keys = _usable_keys(await self._download(), self.algorithms)
        return sorted({key.algorithm_name for _, key in keys})

    async def aclose(self) -> None:
        """Ends the fetch that may be under way."""
        if self._fetching is not None:
            await cancel_and_wait(self._fetching)
        if self._owns_http:
            await self._http.aclose()

    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _begin_fetch(self) -> asyncio.Task[None] | None:
        """The fetch that is under way; None if the last one ended just before."""
        if self._fetching is None:
            pause = PAUSE_SECONDS if self._age() < STALE_SECONDS else EMPTY_PAUSE_SECONDS
            if self._monotonic() - self._tried_at < pause:
                return None
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._end_fetch)
        return self._fetching

    def _end_fetch(self, fetch: asyncio.Task[None]) -> None:
        self._fetching = None
        if not fetch.cancelled() and (error := fetch.exception()) is not None:
            log.error("key set not fetched", error=repr(error))  # nobody expected it

    async def _fetched(self) -> None:
        """Waits for the fetch that may be under way, or begins one; a cancelled caller leaves it to the others."""
        fetch = self._begin_fetch()
        if fetch is not None:
            await asyncio.wait([fetch])

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):  # httpx's own time-outs begin anew with every byte
                self._keys = _by_id(_usable_keys(await self._download(), self.algorithms))
            self._fetched_at = self._monotonic()
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            log.warning("key set not fetched", error=repr(error))
        finally:
            self._tried_at = self._monotonic()

    async def _download(self) -> bytes:
        # Nobody but the operator says where to fetch: no redirects.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = self._http.build_request("GET", self._url, headers=headers, timeout=self._timeout_seconds)
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            return await _read(response)
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ValueError(f"The answer has the status {response.status_code}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("The answer is compressed: a few of its bytes could stand for many.")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_SET:
            raise ValueError(f"The answer has more than {LARGEST_SET} bytes.")
    return bytes(body)


def _by_id(keys: list[tuple[str | None, PyJWK]]) -> dict[tuple[str | None, str], PyJWK]:
    by_id: dict[tuple[str | None, str], PyJWK] = {
        (kid, key.algorithm_name): key for kid, key in keys if kid is not None
    }
    names = Counter(key.algorithm_name for _, key in keys)
    return by_id | {(None, key.algorithm_name): key for _, key in keys if names[key.algorithm_name] == 1}


def _usable_keys(body: bytes, algorithms: Collection[str]) -> list[tuple[str | None, PyJWK]]:
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("The answer is not a JSON Web Key Set.")  # noqa: TRY004 - it is the provider's mistake
    return list(_usable(document["keys"], algorithms))


def _usable(jwks: list[Any], algorithms: Collection[str]) -> Iterator[tuple[str | None, PyJWK]]:
    """What is of no use is left out: sets hold keys for other purposes too."""
    for jwk in jwks:
        algorithm = _algorithm(jwk) if isinstance(jwk, dict) else None
        if algorithm not in algorithms:
            continue
        try:
            key = PyJWK({name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}, algorithm)
        except PyJWTError:
            continue
        if key.Algorithm.check_key_length(key.key) is None:
            kid = jwk.get("kid")
            yield kid if isinstance(kid, str) else None, key


def _algorithm(jwk: dict[str, Any]) -> str | None:
    """The algorithm that a key verifies, by its type; None if it is declared for something else."""
    kind = "RSA" if jwk.get("kty") == "RSA" else f"{jwk.get('kty')} {jwk.get('crv')}"
    algorithm = _ALGORITHMS.get(kind)
    operations = jwk.get("key_ops", ["verify"])
    verifies = isinstance(operations, list) and "verify" in operations
    return algorithm if verifies and jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm else None
