"""Caches responses about lists of accounts.

A cached response is the complete body of a response without errors, and is sent only to the viewer for whom it was made. It is
valid until it expires, or one of the viewer's accounts has changed since before they were read (`db/change_versions.py`). The
audit events of the original request are recorded again for each response from the cache, before it is sent.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from math import ceil

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.db.change_versions import ChangeVersion, ChangeVersions
from tiktok_accounts_gql.execution.engine import PreparedOperation
from tiktok_accounts_gql.execution.root_fields import collect_root_fields
from tiktok_accounts_gql.services.viewer import AuditRecord
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.caller import Caller
from tiktok_accounts_gql.web.graphql_requests import GraphQLRequest
from tiktok_accounts_gql.web.middleware import add_log_field
from tiktok_accounts_gql.web.response_cache import CachedResponse, CacheKey, ResponseCache

CACHED_FIELDS = frozenset({"accounts", "accountsSummary"})
CACHE_STATUS = "Cache-Status"  # RFC 9211
_CACHE_NAME = "tiktok-accounts"
_ALLOWED_FIELDS = CACHED_FIELDS | {"__typename"}
_MIB = 1024 * 1024

Execute = Callable[[Caller], Awaitable[tuple[Response, int]]]  # returns the response and its cost in points


class CacheOutcome(StrEnum):
    """What the cache did with a request. BYPASS: it has no cacheable response, or changes are not noticed at the moment."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


CountOutcome = Callable[[CacheOutcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheableRequest:
    """A request whose response may be cached. `version`: that of the viewer's accounts when it came."""

    key: CacheKey
    version: ChangeVersion
    media_type: str


class ListCache:
    """The cache of one process."""

    def __init__(self, *, changes: ChangeVersions, cache: ResponseCache, seconds: int, count: CountOutcome) -> None:
        self._changes = changes
        self._cache = cache
        self._seconds = seconds
        self._count = count

    @classmethod
    def open(cls, settings: Settings, changes: ChangeVersions, count: CountOutcome) -> "ListCache | None":
        """Return the cache, or None if it is turned off. `count`: called with the outcome of every request."""
        cache = ResponseCache(max_bytes=settings.list_cache_megabytes * _MIB)
        seconds = settings.list_cache_seconds
        return cls(changes=changes, cache=cache, seconds=seconds, count=count) if seconds else None

    def find_cacheable(
        self, prepared: PreparedOperation, request: GraphQLRequest, caller: Caller, media_type: str
    ) -> CacheableRequest | None:
        """Return what identifies the response; None if it cannot be cached, or changes are not noticed at the moment."""
        if not _reads_lists(prepared) or (version := self._changes.get(caller.viewer.id)) is None:
            return None
        digest = _hash_request(request)
        if digest is None:
            return None
        return CacheableRequest(key=CacheKey(caller.viewer.id, digest), version=version, media_type=media_type)

    async def respond(
        self, request: Request, cacheable: CacheableRequest | None, caller: Caller, execute: Execute
    ) -> Response:
        """Return the cached response, or execute the request. Raises what `execute` and the audit log raise."""
        if cacheable is None:
            response, _ = await execute(caller)
            return self._add_status(request, response, CacheOutcome.BYPASS, "fwd=bypass")
        cached = self._cache.get(cacheable.key, cacheable.version)
        if cached is None:
            return await self._execute_and_store(request, cacheable, caller, execute)
        await caller.services.budget.spend(caller.viewer.id, cached.points)
        await caller.services.audit.replay(caller.viewer, cached.audit_records)
        response = Response(cached.body, media_type=f"{cacheable.media_type}; charset=utf-8")
        ttl = max(0, ceil(cached.expires_at - self._cache.now()))
        return self._add_status(request, response, CacheOutcome.HIT, f"hit; ttl={ttl}")

    async def _execute_and_store(
        self, request: Request, cacheable: CacheableRequest, caller: Caller, execute: Execute
    ) -> Response:
        audit_records: list[AuditRecord] = []
        expires_at = self._cache.now() + self._seconds
        response, points = await execute(replace(caller, viewer=replace(caller.viewer, audit_records=audit_records)))
        is_stored = responses.has_no_errors(response) and self._cache.put(
            CachedResponse(
                key=cacheable.key,
                body=bytes(response.body),
                points=points,
                version=cacheable.version,
                audit_records=tuple(audit_records),
                expires_at=expires_at,
            )
        )
        return self._add_status(request, response, CacheOutcome.MISS, "fwd=miss; stored" if is_stored else "fwd=miss")

    def _add_status(self, request: Request, response: Response, outcome: CacheOutcome, status: str) -> Response:
        self._count(outcome)
        add_log_field(request, "cache", outcome)
        response.headers[CACHE_STATUS] = f"{_CACHE_NAME}; {status}"
        return response


def _reads_lists(prepared: PreparedOperation) -> bool:
    if prepared.document is None or prepared.operation is None or prepared.kind is not OperationType.QUERY:
        return False
    fields = collect_root_fields(prepared.document, prepared.operation)
    return fields <= _ALLOWED_FIELDS and not fields.isdisjoint(CACHED_FIELDS)


def _hash_request(request: GraphQLRequest) -> bytes | None:
    """Return a hash of query and variables; None if the variables are nested too deeply to be serialized."""
    parts = [request.query, request.operation_name, request.variables or {}]
    try:
        return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()
    except orjson.JSONEncodeError:
        return None
