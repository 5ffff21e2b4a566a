"""Automatic persisted queries, as Apollo's and urql's clients send them: a hash in place of a query.

A client sends the hash alone, gets PersistedQueryNotFound, sends hash and query once, and the hash alone from then on. So a
query may be evicted at any time, and processes need not share their queries.
"""

import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256

from tiktok_accounts_gql.errors import ErrorCode, RequestError
from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.web.graphql_requests import GraphQLRequest

MEMORY_BYTES = 8 * 1024 * 1024
# The queries of one viewer take at most an eighth of the memory: more than an application has, and it leaves room for others.
VIEWER_SHARE = 8
_ENTRY_BYTES = 512  # of an entry besides its text; a test measures it


class PersistedQueryNotFound(RequestError):
    message = "PersistedQueryNotFound"  # Apollo's clients look for this text
    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND


class PersistedQueryMismatch(RequestError):
    message = "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`."
    code = ErrorCode.PERSISTED_QUERY_MISMATCH


@dataclass(frozen=True, slots=True)
class _Entry:
    """A query, and the viewer whose request brought it."""

    query: str
    viewer_id: str

    @property
    def size(self) -> int:
        """The memory of the entry, in bytes."""
        return sys.getsizeof(self.query) + _ENTRY_BYTES


class PersistedQueries:
    """An LRU cache of valid queries by their hash, for one process."""

    def __init__(self, engine: Engine, *, max_bytes: int = MEMORY_BYTES) -> None:
        self._engine = engine
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._used_bytes = 0
        self._used_by_viewer: dict[str, int] = {}

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def prepare(self, request: GraphQLRequest, viewer_id: str) -> tuple[GraphQLRequest, PreparedOperation]:
        """Return the request with its query, prepared. Raises PersistedQueryNotFound, PersistedQueryMismatch."""
        digest = request.digest
        if digest is None:
            return request, await self._engine.prepare(request.query, request.operation_name)
        cached_query = None
        if entry := self._entries.get(digest):
            self._entries.move_to_end(digest)
            cached_query = entry.query
        if not request.query:
            if cached_query is None:
                raise PersistedQueryNotFound
            request = replace(request, query=cached_query)
        elif request.query != cached_query and sha256(request.query.encode()).digest() != digest:
            raise PersistedQueryMismatch
        prepared = await self._engine.prepare(request.query, request.operation_name)
        if cached_query is None and prepared.document is not None:
            self._put(digest, _Entry(request.query, viewer_id))
        return request, prepared

    def _put(self, digest: bytes, entry: _Entry) -> None:
        """Store a query, and evict the least recently used: of this viewer beyond their share, then of all viewers."""
        viewer_id = entry.viewer_id
        if (
            entry.size > self._max_bytes // VIEWER_SHARE or digest in self._entries
        ):  # another request stored it meanwhile
            return
        self._entries[digest] = entry
        self._used_bytes += entry.size
        self._used_by_viewer[viewer_id] = self._used_by_viewer.get(viewer_id, 0) + entry.size
        while self._used_by_viewer[viewer_id] > self._max_bytes // VIEWER_SHARE:
            self._evict(next(key for key, other in self._entries.items() if other.viewer_id == viewer_id))
        while self._used_bytes > self._max_bytes:
            self._evict(next(iter(self._entries)))

    def _evict(self, digest: bytes) -> None:
        entry = self._entries.pop(digest)
        self._used_bytes -= entry.size
        remaining = self._used_by_viewer[entry.viewer_id] - entry.size
        if remaining:
            self._used_by_viewer[entry.viewer_id] = remaining
        else:
            del self._used_by_viewer[entry.viewer_id]
