"""The public keys of an identity provider: a JSON Web Key Set (RFC 7517) at a URL from the settings.

A set is fresh for 5 minutes and usable for a day. A request that finds it older than fresh uses it and starts a fetch in the
background, so a provider that hangs or is down delays no request with a known key. The price: a withdrawn key is accepted until
that fetch has ended, and for the day if the provider is down. A well-formed set replaces the last one, even if it is empty.

Only two kinds of requests wait for the provider, at most for the time-out: those with an unknown key id, for which the set is
fetched at most once a minute whatever clients send, and all requests while there is no usable set.
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
from tiktok_accounts_gql.response_bodies import read_successful_body
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.tls import get_ssl_context

FRESH_SECONDS = 5 * 60
USABLE_SECONDS = 24 * 60 * 60
RETRY_SECONDS = 60  # the shortest time between two fetches
EMPTY_RETRY_SECONDS = 5  # without a key every request fails, so fetch sooner, but not for every request
MAX_SET_BYTES = 256 * 1024

# Only public keys of these types are used: a shared secret ("oct") at a public URL is not secret.
_ALGORITHMS = {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}
ALGORITHMS = frozenset(_ALGORITHMS.values())
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")

log = structlog.get_logger()


class JwksKeys:
    """Finds keys by key id and algorithm, so that a key is never used with the algorithm of another type."""

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
        self._fetch_task: asyncio.Task[None] | None = None
        self._keys: dict[tuple[str | None, str], PyJWK] = {}
        self._fetched_at = self._attempted_at = -math.inf

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """Return a key, or None. Without a key id there has to be a single key of the algorithm.

        Raises ServiceUnavailable if there is no usable set.
        """
        age = self._age()
        if age >= USABLE_SECONDS:
            await self._wait_for_fetch()
            if self._age() >= USABLE_SECONDS:
                raise ServiceUnavailable("The keys to check tokens with cannot be fetched. Try again later.")
        elif age >= FRESH_SECONDS:
            self._start_fetch()
        if (key_id, algorithm) not in self._keys:
            await self._wait_for_fetch()
        return self._keys.get((key_id, algorithm))

    async def list_algorithms(self) -> list[str]:
        """Fetch the set and return the algorithms of its keys. Raises httpx.HTTPError, TimeoutError, ValueError."""
        async with asyncio.timeout(self._timeout_seconds):
            keys = _parse_keys(await self._download(), self.algorithms)
        return sorted({key.algorithm_name for _, key in keys})

    async def aclose(self) -> None:
        """Cancel a running fetch, and close the client if it was opened here."""
        if self._fetch_task is not None:
            await cancel_and_wait(self._fetch_task)
        if self._owns_http:
            await self._http.aclose()

    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _start_fetch(self) -> asyncio.Task[None] | None:
        """Return the running fetch, or a new one; None if the last one ended a short time ago."""
        if self._fetch_task is None:
            min_seconds = RETRY_SECONDS if self._age() < USABLE_SECONDS else EMPTY_RETRY_SECONDS
            if self._monotonic() - self._attempted_at < min_seconds:
                return None
            self._fetch_task = asyncio.create_task(self._fetch())
            self._fetch_task.add_done_callback(self._on_fetch_done)
        return self._fetch_task

    def _on_fetch_done(self, fetch: asyncio.Task[None]) -> None:
        self._fetch_task = None
        if not fetch.cancelled() and (error := fetch.exception()) is not None:
            log.error("key set not fetched", error=repr(error))  # an unexpected one: `_fetch` catches all others

    async def _wait_for_fetch(self) -> None:
        """Wait for the running fetch, or start one. A cancelled caller does not cancel it, because others may wait for it."""
        fetch = self._start_fetch()
        if fetch is not None:
            await asyncio.wait([fetch])

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):  # httpx's own time-outs start again with every byte
                self._keys = _index_keys(_parse_keys(await self._download(), self.algorithms))
            self._fetched_at = self._monotonic()
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            log.warning("key set not fetched", error=repr(error))
        finally:
            self._attempted_at = self._monotonic()

    async def _download(self) -> bytes:
        # No redirects: the URL of the settings alone decides where keys come from.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = self._http.build_request("GET", self._url, headers=headers, timeout=self._timeout_seconds)
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            return await read_successful_body(response, max_bytes=MAX_SET_BYTES)
        finally:
            await response.aclose()


def _index_keys(keys: list[tuple[str | None, PyJWK]]) -> dict[tuple[str | None, str], PyJWK]:
    """Return the keys by key id and algorithm; by (None, algorithm) as well if there is a single one."""
    by_id: dict[tuple[str | None, str], PyJWK] = {
        (key_id, key.algorithm_name): key for key_id, key in keys if key_id is not None
    }
    counts = Counter(key.algorithm_name for _, key in keys)
    return by_id | {(None, key.algorithm_name): key for _, key in keys if counts[key.algorithm_name] == 1}


def _parse_keys(body: bytes, algorithms: Collection[str]) -> list[tuple[str | None, PyJWK]]:
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("The answer is not a JSON Web Key Set.")  # noqa: TRY004 - the provider sent it
    return list(_load_keys(document["keys"], algorithms))


def _load_keys(jwks: list[Any], algorithms: Collection[str]) -> Iterator[tuple[str | None, PyJWK]]:
    """Yield the usable keys with their key ids: sets have keys for other purposes too."""
    for jwk in jwks:
        algorithm = _find_algorithm(jwk) if isinstance(jwk, dict) else None
        if algorithm not in algorithms:
            continue
        try:
            key = PyJWK({name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}, algorithm)
        except PyJWTError:
            continue
        if key.Algorithm.check_key_length(key.key) is None:
            key_id = jwk.get("kid")
            yield key_id if isinstance(key_id, str) else None, key


def _find_algorithm(jwk: dict[str, Any]) -> str | None:
    """Return the algorithm of a key, by its type; None if the key is declared for something else than verifying."""
    key_type = "RSA" if jwk.get("kty") == "RSA" else f"{jwk.get('kty')} {jwk.get('crv')}"
    algorithm = _ALGORITHMS.get(key_type)
    operations = jwk.get("key_ops", ["verify"])
    verifies = isinstance(operations, list) and "verify" in operations
    return algorithm if verifies and jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm else None
