"""Threads that work for an event loop.

An executor of the standard library makes two futures for each call, with locks and callbacks between them: with two calls
that was a tenth of all instructions of a request for one account.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Result = TypeVar("Result")

_Call = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class ThreadPool:
    """Up to `max_threads` threads that take calls in their order; another one starts when all are busy."""

    def __init__(self, max_threads: int, *, name: str) -> None:
        self._max_threads = max_threads
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._pending_count = 0

    def run(self, function: Callable[..., Result], *arguments: Any) -> "asyncio.Future[Result]":
        """Return what the call returns, or raise what it raises. It is skipped if no caller waits for it when its turn comes."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if self._pending_count >= len(self._threads) < self._max_threads:
            self._start()
        self._pending_count += 1
        self._calls.put((loop, future, function, arguments))
        return future

    def close(self) -> None:
        """Wait until all calls are done."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self) -> None:
        thread = Thread(target=self._work, name=f"{self._name}_{len(self._threads)}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while call := self._calls.get():
            self._call(*call)
            del call  # or the result would live until the next one

    def _call(
        self,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[Any]",
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            if not future.cancelled():
                result = function(*arguments)
        except BaseException as exception:  # noqa: BLE001 - raised by the future
            error = exception
        with suppress(RuntimeError):  # the loop has ended, and no caller waits
            loop.call_soon_threadsafe(self._set_result, future, result, error)
        del error  # whose traceback holds this frame

    def _set_result(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self._pending_count -= 1
        if future.done():  # cancelled meanwhile
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
