"""ThreadPool that work for an event loop."""

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest

from tests.support.waiting import until
from tiktok_accounts_gql.db.threads import ThreadPool


@pytest.fixture
def one() -> Iterator[ThreadPool]:
    threads = ThreadPool(1, name="one")
    yield threads
    threads.close()


async def test_a_call_is_answered_from_a_thread_of_that_name(one: ThreadPool) -> None:
    assert await one.run(lambda name: (name, threading.current_thread().name), "asked") == ("asked", "one_0")


async def test_what_a_call_raises_is_told_and_the_thread_goes_on(one: ThreadPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await one.run(divmod, 1, 0)
    assert await one.run(divmod, 7, 2) == (3, 1)


async def test_one_thread_takes_calls_in_their_order_and_leaves_out_those_that_were_cancelled(one: ThreadPool) -> None:
    go, done = threading.Event(), list[int]()
    first = one.run(go.wait, 10)
    others = [one.run(done.append, number) for number in range(4)]
    others[1].cancel()
    go.set()
    await asyncio.gather(first, *others, return_exceptions=True)
    assert done == [0, 2, 3]


async def test_a_call_that_is_cancelled_while_it_runs_is_answered_to_nobody(one: ThreadPool) -> None:
    began, go = threading.Event(), threading.Event()

    def act() -> None:
        began.set()
        go.wait(10)

    running = one.run(act)
    assert await asyncio.to_thread(began.wait, 10)
    running.cancel()
    go.set()
    assert await one.run(lambda: "next") == "next"
    assert running.cancelled()


async def test_calls_run_beside_each_other_in_as_many_threads_as_are_allowed() -> None:
    threads = ThreadPool(3, name="three")
    together = threading.Barrier(3)
    try:
        await asyncio.gather(*[threads.run(together.wait, 10) for _ in range(6)])
        assert len(threads._threads) == 3
    finally:
        threads.close()


async def test_no_thread_starts_while_another_one_is_free() -> None:
    threads = ThreadPool(3, name="three")
    try:
        for _ in range(5):
            await threads.run(int)
        assert len(threads._threads) == 1
    finally:
        threads.close()


async def test_closing_waits_for_all_that_was_asked() -> None:
    threads, done = ThreadPool(1, name="closed"), list[int]()
    for number in range(100):
        threads.run(done.append, number)
    threads.close()
    assert done == list(range(100))


async def test_no_thread_holds_an_answer_once_it_was_told(one: ThreadPool) -> None:
    class Page:
        pass

    page = weakref.ref(await one.run(Page))
    await until(lambda: page() is None)


def test_a_loop_that_ended_before_the_answer_came_costs_no_thread(one: ThreadPool) -> None:
    began, go = threading.Event(), threading.Event()

    def act() -> None:
        began.set()
        go.wait(10)

    async def leave() -> None:
        one.run(act)
        assert await asyncio.to_thread(began.wait, 10)

    asyncio.run(leave())
    go.set()

    async def ask() -> int:
        return await one.run(lambda: 1)

    assert asyncio.run(ask()) == 1
