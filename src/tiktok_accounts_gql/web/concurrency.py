"""Limits how many requests run at once. The others wait in a fair queue, and get 503 if that takes too long.

All requests share one processor: running more at once makes none of them faster, while each one holds memory and delays all
others. A request that runs for longer than a second most likely waits for TikTok and hardly uses the processor. It moves to a
second, larger group of slow requests, so that it does not keep the fast ones from running.
"""

import asyncio
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.fair_queue import FairQueue
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.framing import frame_response
from tiktok_accounts_gql.web.media_types import negotiate
from tiktok_accounts_gql.web.middleware import PROBES

MAX_QUEUED = 4096
QUEUE_TIMEOUT_SECONDS = 10.0
SLOW_AFTER_SECONDS = 1.0
SLOW_FACTOR = 8  # so many slow requests are allowed for each fast one
SLOW_CHECK_SECONDS = 0.1
RETRY_AFTER = {"Retry-After": "5"}

CLIENT_DISCONNECTED = "client_disconnected"  # set in a scope's state by the server
PROBES_ONLY = "probes_only"  # set in a scope's state by the server: the connection is one of the reserve
_SLOT = "slot"


class Overloaded(ServiceUnavailable):
    message = "The server has too much to do. Try again in some seconds."


class ConcurrencyLimiter:
    """ASGI middleware that lets `max_running` requests run at once. Probes and WebSockets do not count and never wait."""

    def __init__(self, app: ASGIApp, *, max_running: int) -> None:
        self._app = app
        self._max_running = max_running
        self._running: dict[int, float] = {}  # slot -> when it was taken; the oldest comes first
        self._slow: set[int] = set()
        self._last_slot = 0
        self._queue: FairQueue[int | None] = FairQueue()
        self._slow_check: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        if PROBES_ONLY in state:
            slot = None
        elif len(self._running) < self._max_running:
            slot = self._acquire()
        else:
            slot = await self._wait(scope)
        if slot is None:
            media_type = negotiate(HTTPConnection(scope).headers.get("accept")).error
            response = responses.error_response(
                Overloaded(), state["request_id"], media_type=media_type, headers=RETRY_AFTER
            )
            await frame_response(response, media_type)(scope, receive, send)
            return
        state[_SLOT] = self, slot
        try:
            if CLIENT_DISCONNECTED not in state:
                await self._app(scope, receive, send)
        finally:
            self.release(slot)

    def release(self, slot: int) -> None:
        """Let the next request run. Do nothing if the slot was released before."""
        if self._running.pop(slot, None) is not None or slot in self._slow:
            self._slow.discard(slot)
            self._run_queued()

    def _acquire(self) -> int:
        self._last_slot = slot = self._last_slot + 1
        self._running[slot] = time.monotonic()
        return slot

    def _run_queued(self) -> None:
        while len(self._running) < self._max_running and (queued := self._queue.next()):
            queued.set_result(self._acquire())

    async def _wait(self, scope: Scope) -> int | None:
        """Return a slot, or None if the queue is full or the request waited for too long."""
        if self._queue.length >= MAX_QUEUED:
            return None
        connection = HTTPConnection(
            scope
        )  # requests of one caller have the token in common, or without one the address
        key = connection.headers.get("authorization") or (connection.client.host if connection.client else "")
        queued = self._queue.join(key)
        if self._slow_check is None:
            self._move_slow()
        timer = asyncio.get_running_loop().call_later(QUEUE_TIMEOUT_SECONDS, _time_out, queued)
        try:
            return await queued
        except asyncio.CancelledError:
            # The request may get its slot in the same round of the event loop in which it is cancelled.
            if not queued.cancelled() and (slot := queued.result()) is not None:
                self.release(slot)
            raise
        finally:
            timer.cancel()
            self._queue.leave(key, queued)

    def _move_slow(self) -> None:
        """Move requests that run for long to the slow ones, and check again later while any request waits."""
        now = time.monotonic()
        while self._running and len(self._slow) < self._max_running * SLOW_FACTOR:
            oldest, acquired_at = next(iter(self._running.items()))
            if now - acquired_at < SLOW_AFTER_SECONDS:
                break
            del self._running[oldest]
            self._slow.add(oldest)
        self._run_queued()
        is_waiting = self._queue.length > 0
        loop = asyncio.get_running_loop()
        self._slow_check = loop.call_later(SLOW_CHECK_SECONDS, self._move_slow) if is_waiting else None


def _time_out(queued: asyncio.Future[int | None]) -> None:
    if not queued.done():
        queued.set_result(None)


def release_slot(scope: Scope) -> None:
    """Let another request run although this one goes on: a stream of events, of which there are limits of their own."""
    if slot := scope["state"].pop(_SLOT, None):
        limiter, number = slot
        limiter.release(number)
