"""An LRU cache of responses, bounded in bytes and in time."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from cachetools import LRUCache

from tiktok_accounts_gql.db.change_versions import ChangeVersion
from tiktok_accounts_gql.services.viewer import AuditRecord

# What an entry takes besides its body and its viewer's id, and what each audit record takes. A test measures both; they
# include room for the dictionaries to grow.
_ENTRY_BYTES = 640
_AUDIT_RECORD_BYTES = 256
_MAX_SHARE = 16  # a response that takes more than this part of the cache would evict too many others


class CacheKey(NamedTuple):
    """`digest`: of the request; the response belongs to this viewer alone."""

    viewer_id: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResponse:
    """A response and what is needed to send it again.

    `points`: the cost of the operation. `version`: that of the viewer's accounts before they were read. `audit_records`: what
    the audit log recorded of the request, to be recorded again. `expires_at`: by the cache's clock.
    """

    key: CacheKey
    body: bytes
    points: int
    version: ChangeVersion
    audit_records: tuple[AuditRecord, ...]
    expires_at: float

    @property
    def size(self) -> int:
        """The memory of the entry, in bytes."""
        records = _AUDIT_RECORD_BYTES * len(self.audit_records)
        return sys.getsizeof(self.body) + sys.getsizeof(self.key.viewer_id) + _ENTRY_BYTES + records


class ResponseCache:
    """The responses that were used most recently."""

    def __init__(self, *, max_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._max_size = max_bytes // _MAX_SHARE
        self._responses: LRUCache[CacheKey, CachedResponse] = LRUCache(max_bytes, getsizeof=attrgetter("size"))

    def __len__(self) -> int:
        return len(self._responses)

    @property
    def used_bytes(self) -> int:
        return int(self._responses.currsize)

    def now(self) -> float:
        return self._monotonic()

    def get(self, key: CacheKey, version: ChangeVersion) -> CachedResponse | None:
        """Return the response if the accounts still have this version. One that is outdated or has expired is evicted."""
        response = self._responses.get(key)
        if response is not None and (response.version != version or response.expires_at <= self._monotonic()):
            self.evict(key)
            return None
        return response

    def put(self, response: CachedResponse) -> bool:
        """Store a response in place of an earlier one, and evict those that were not used for the longest time.

        Return whether it was stored: one that is too large is not, and an earlier one with the same key then stays, until
        `get` finds that it is outdated.
        """
        if response.size > self._max_size:
            return False
        self._responses[response.key] = response
        return True

    def evict(self, key: CacheKey) -> None:
        self._responses.pop(key, None)
