"""Automatic persisted queries, as Apollo's and urql's clients ask for them: a hash in place of a query.

A client sends the hash alone, is told PersistedQueryNotFound, sends both once, and the hash alone from then on. So nothing
is lost with what is forgotten, nor by a process that does not know what another one was told.
"""

import sys
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256

from tiktok_accounts_gql.errors import ErrorCode, RequestError
from tiktok_accounts_gql.execution.engine import Engine, PreparedOperation
from tiktok_accounts_gql.web.requests import GraphQLRequest

MEMORY_BYTES = 8 * 1024 * 1024
SHARE = (
    8  # a viewer's queries take the memory's eighth at most: more than an application has, and not everybody's place
)
_ENTRY_BYTES = 512  # besides the text; a test measures it


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
    def weight(self) -> int:
        """Bytes."""
        return sys.getsizeof(self.query) + _ENTRY_BYTES


class PersistedQueries:
    """An LRU cache of valid queries by their hash, for one process."""

    def __init__(self, engine: Engine, *, memory: int = MEMORY_BYTES) -> None:
        self._engine = engine
        self._memory = memory
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._used = 0
        self._used_by: dict[str, int] = {}

    @property
    def used(self) -> int:
        """Bytes."""
        return self._used

    def __len__(self) -> int:
        return len(self._entries)

    async def prepare(self, request: GraphQLRequest, viewer_id: str) -> tuple[GraphQLRequest, PreparedOperation]:
        """The request with its query. Raises PersistedQueryNotFound, PersistedQueryMismatch."""
        digest = request.digest
        if digest is None:
            return request, await self._engine.prepare(request.query, request.operation_name)
        known = self._get(digest)
        if not request.query:
            if known is None:
                raise PersistedQueryNotFound
            request = replace(request, query=known)
        elif request.query != known and sha256(request.query.encode()).digest() != digest:
            raise PersistedQueryMismatch
        prepared = await self._engine.prepare(request.query, request.operation_name)
        if known is None and prepared.document is not None:
            self._put(digest, _Entry(request.query, viewer_id))
        return request, prepared

    def _get(self, digest: bytes) -> str | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        self._entries.move_to_end(digest)
        return entry.query

    def _put(self, digest: bytes, entry: _Entry) -> None:
        """What is used the least makes room: the viewer's own beyond their share, then anybody's."""
        viewer_id = entry.viewer_id
        if entry.weight > self._memory // SHARE or digest in self._entries:  # put by another request meanwhile
            return
        self._entries[digest] = entry
        self._used += entry.weight
        self._used_by[viewer_id] = self._used_by.get(viewer_id, 0) + entry.weight
        while self._used_by[viewer_id] > self._memory // SHARE:
            self._evict(next(key for key, one in self._entries.items() if one.viewer_id == viewer_id))
        while self._used > self._memory:
            self._evict(next(iter(self._entries)))

    def _evict(self, digest: bytes) -> None:
        entry = self._entries.pop(digest)
        self._used -= entry.weight
        left = self._used_by[entry.viewer_id] - entry.weight
        if left:
            self._used_by[entry.viewer_id] = left
        else:
            del self._used_by[entry.viewer_id]
