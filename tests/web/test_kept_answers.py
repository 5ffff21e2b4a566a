"""Answers in memory: bounded, and gone when they are old."""

import sys
import tracemalloc
from uuid import uuid4

import pytest

from tiktok_accounts_gql.db.models import AuditAction
from tiktok_accounts_gql.services.audit import Detail
from tiktok_accounts_gql.services.viewer import AuditRecord
from tiktok_accounts_gql.web.kept_answers import KeptAnswer, KeptAnswers, Key

MIB = 1024 * 1024
MARK = (1, 1)


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key(number: int, viewer: str = "viewer") -> Key:
    return Key(viewer, number.to_bytes(32, "big"))


def answer(size: int = 10, mark: tuple[int, int] = MARK, expires_at: float = 1300.0) -> KeptAnswer:
    count = Detail(name="count", value=size)
    noted = (AuditRecord(action=AuditAction.ACCOUNTS_LISTED, account_id=None, details=(count,)),)
    return KeptAnswer(points=1, body=bytes(size), mark=mark, noted=noted, expires_at=expires_at)


def test_an_answer_is_found_by_its_viewer_and_its_request_alone() -> None:
    kept = KeptAnswers(memory=MIB)
    mine = answer(expires_at=float("inf"))
    assert kept.keep(key(1), mine)
    assert kept.find(key(1), MARK) is mine
    assert kept.find(key(2), MARK) is None
    assert kept.find(key(1, "stranger"), MARK) is None


def test_an_answer_expires() -> None:
    watch = Watch()
    kept = KeptAnswers(memory=MIB, monotonic=watch)
    kept.keep(key(1), answer())
    watch.now = 1299.9
    assert kept.find(key(1), MARK)
    watch.now = 1300.0
    assert kept.find(key(1), MARK) is None
    assert (len(kept), kept.used) == (0, 0)


@pytest.mark.parametrize("mark", [(1, 2), (2, 1), (2, 0)])
def test_an_answer_from_before_a_change_is_not_found_and_takes_no_memory(mark: tuple[int, int]) -> None:
    kept = KeptAnswers(memory=MIB, monotonic=Watch())
    kept.keep(key(1), answer())
    assert kept.find(key(1), mark) is None
    assert (len(kept), kept.used) == (0, 0)


def test_an_answer_that_was_read_while_something_changed_is_never_found() -> None:
    kept = KeptAnswers(memory=MIB, monotonic=Watch())
    before, after = (1, 7), (1, 8)
    kept.keep(key(1), answer(mark=before))  # whose reading ends after the change
    assert kept.find(key(1), after) is None


def test_who_was_asked_for_the_longest_ago_goes_first() -> None:
    room = 40
    kept = KeptAnswers(memory=room * (answer(1000).weight + sys.getsizeof("viewer")), monotonic=Watch())
    for number in range(room):
        kept.keep(key(number), answer(1000))
    assert kept.find(key(0), MARK)
    kept.keep(key(room), answer(1000))
    assert len(kept) == room
    assert kept.find(key(1), MARK) is None
    assert kept.find(key(0), MARK)
    assert kept.find(key(room), MARK)


def test_an_answer_that_would_displace_many_others_is_not_kept() -> None:
    kept = KeptAnswers(memory=MIB, monotonic=Watch())
    assert not kept.keep(key(1), answer(MIB // 16))
    assert kept.keep(key(2), answer(MIB // 32))
    assert len(kept) == 1


def test_the_same_request_again_takes_no_more_memory() -> None:
    kept = KeptAnswers(memory=MIB, monotonic=Watch())
    for _ in range(100):
        kept.keep(key(1), answer(1000))
    once = kept.used
    kept.keep(key(1), answer(2000))
    assert (len(kept), kept.used) == (1, once + 1000)


@pytest.mark.parametrize("size", [30, 2_000, 40_000])
def test_memory_is_what_it_is_said_to_be(size: int) -> None:
    """Of short and long answers, all of other viewers; and it does not grow beyond."""
    limit = 4 * MIB
    kept = KeptAnswers(memory=limit, monotonic=Watch())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(3 * limit // (size + 1000)):
            kept.keep(key(number, f"viewer-{uuid4().hex}"), answer(size, mark=(number + 1000, number + 1000)))
            if kept.used > 0.8 * limit:
                after, _ = tracemalloc.get_traced_memory()
                assert after - before < 1.05 * limit
    finally:
        tracemalloc.stop()
    assert 0.5 * limit < after - before
    assert kept.used <= limit
