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

Answer = TypeVar("Answer")

_Call = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Threads:
    """`most` at most: another one starts when a call comes and all of them are busy. They take calls in their order."""

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._unanswered = 0

    def run(self, act: Callable[..., Answer], *arguments: Any) -> "asyncio.Future[Answer]":
        """What it returns or raises. It is left out if nobody waits for it any more when its turn comes."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        if self._unanswered >= len(self._threads) < self._most:
            self._start()
        self._unanswered += 1
        self._calls.put((loop, answered, act, arguments))
        return answered

    def close(self) -> None:
        """Returns when all that was asked is done."""
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
            del call  # or the answer would live until the next one

    def _call(
        self,
        loop: asyncio.AbstractEventLoop,
        answered: "asyncio.Future[Any]",
        act: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        answer: Any = None
        error: BaseException | None = None
        try:
            if not answered.cancelled():
                answer = act(*arguments)
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits for it
            error = raised
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(self._answer, answered, answer, error)
        del error  # whose traceback holds this frame

    def _answer(self, answered: "asyncio.Future[Any]", answer: Any, error: BaseException | None) -> None:
        self._unanswered -= 1
        if answered.done():  # cancelled meanwhile
            return
        if error is None:
            answered.set_result(answer)
        else:
            answered.set_exception(error)
