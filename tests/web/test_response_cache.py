"""The cache of responses: bounded in bytes, and without outdated entries."""

import tracemalloc
from uuid import uuid4

import pytest

from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.viewer import AuditRecord
from tiktok_accounts_gql.web.response_cache import CachedResponse, CacheKey, ResponseCache

MIB = 1024 * 1024
VERSION = (1, 1)
NOW = 1000.0


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def key(number: int, viewer: str = "viewer") -> CacheKey:
    return CacheKey(viewer, number.to_bytes(32, "big"))


def response(
    cache_key: CacheKey, size: int = 10, version: tuple[int, int] = VERSION, expires_at: float = NOW + 300
) -> CachedResponse:
    detail = Detail(name="count", value=size)
    records = (AuditRecord(action=AuditAction.ACCOUNTS_LISTED, account_id=None, details=(detail,)),)
    return CachedResponse(
        key=cache_key, points=1, body=bytes(size), version=version, audit_records=records, expires_at=expires_at
    )


def test_a_response_is_found_only_by_its_viewer_and_its_request() -> None:
    cache = ResponseCache(max_bytes=MIB)
    mine = response(key(1), expires_at=float("inf"))
    assert cache.put(mine)
    assert cache.get(key(1), VERSION) is mine
    assert cache.get(key(2), VERSION) is None
    assert cache.get(key(1, "stranger"), VERSION) is None


def test_a_response_expires() -> None:
    clock = StoppedClock()
    cache = ResponseCache(max_bytes=MIB, monotonic=clock)
    cache.put(response(key(1), expires_at=NOW + 300))
    clock.now = NOW + 299.9
    assert cache.get(key(1), VERSION)
    clock.now = NOW + 300
    assert cache.get(key(1), VERSION) is None
    assert (len(cache), cache.used_bytes) == (0, 0)


@pytest.mark.parametrize(
    "version", [(1, 2), (2, 1), (2, 0)], ids=["later change", "later reset", "reset and no change"]
)
def test_a_response_of_another_version_is_evicted(version: tuple[int, int]) -> None:
    cache = ResponseCache(max_bytes=MIB, monotonic=StoppedClock())
    cache.put(response(key(1)))
    assert cache.get(key(1), version) is None
    assert (len(cache), cache.used_bytes) == (0, 0)


def test_a_response_that_was_read_while_something_changed_is_never_found() -> None:
    cache = ResponseCache(max_bytes=MIB, monotonic=StoppedClock())
    before, after = (1, 7), (1, 8)
    cache.put(response(key(1), version=before))  # stored after the change
    assert cache.get(key(1), after) is None


def test_the_least_recently_used_response_is_evicted_first() -> None:
    capacity = 40
    cache = ResponseCache(max_bytes=capacity * response(key(0), 1000).size, monotonic=StoppedClock())
    for number in range(capacity):
        cache.put(response(key(number), 1000))
    assert cache.get(key(0), VERSION)
    cache.put(response(key(capacity), 1000))
    assert len(cache) == capacity
    assert cache.get(key(1), VERSION) is None
    assert cache.get(key(0), VERSION)
    assert cache.get(key(capacity), VERSION)


def test_a_response_that_would_evict_many_others_is_not_stored() -> None:
    cache = ResponseCache(max_bytes=MIB, monotonic=StoppedClock())
    assert not cache.put(response(key(1), MIB // 16))
    assert cache.put(response(key(2), MIB // 32))
    assert len(cache) == 1


def test_an_earlier_response_stays_when_the_new_one_is_not_stored() -> None:
    cache = ResponseCache(max_bytes=MIB, monotonic=StoppedClock())
    earlier = response(key(1))
    cache.put(earlier)
    assert not cache.put(response(key(1), MIB // 16))
    assert cache.get(key(1), VERSION) is earlier


def test_the_same_request_again_takes_no_more_memory() -> None:
    cache = ResponseCache(max_bytes=MIB, monotonic=StoppedClock())
    for _ in range(100):
        cache.put(response(key(1), 1000))
    once = cache.used_bytes
    cache.put(response(key(1), 2000))
    assert (len(cache), cache.used_bytes) == (1, once + 1000)


@pytest.mark.parametrize("size", [30, 2_000, 40_000])
def test_used_bytes_are_those_that_the_process_needs(size: int) -> None:
    limit = 4 * MIB
    cache = ResponseCache(max_bytes=limit, monotonic=StoppedClock())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(3 * limit // (size + 1000)):
            version = (number + 1000, number + 1000)  # an object of its own
            cache.put(response(key(number, f"viewer-{uuid4().hex}"), size, version=version))
            if cache.used_bytes > 0.8 * limit:
                after, _ = tracemalloc.get_traced_memory()
                assert after - before < 1.05 * limit
    finally:
        tracemalloc.stop()
    assert 0.5 * limit < after - before
    assert cache.used_bytes <= limit
