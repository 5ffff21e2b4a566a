"""How many requests run at once. The others wait for their turn, callers in turn, and are told 503 if that takes too long.

All that runs shares one processor: more at once are not answered sooner, but every one of them holds memory, and each
waits for all others. A request counts for a second. What takes longer waits for somebody else (TikTok mostly), and must not
keep those from running who do not: `MOST_SLOW` times as many of them may be under way.
"""

import asyncio
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.fair_queue import FairQueue
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.edge import PROBES
from tiktok_accounts_gql.web.framing import framed
from tiktok_accounts_gql.web.media_types import accepted

MOST_WAITING = 4096
WAIT_SECONDS = 10.0
COUNTS_SECONDS = 1.0
MOST_SLOW = 8
LOOK_SECONDS = 0.1
RETRY_AFTER = {"Retry-After": "5"}

CLIENT_GONE = "client_gone"  # set in a scope's state by the server: nobody waits for the answer any more
PROBES_ONLY = "probes_only"  # likewise: the connection is one of the reserve
_TURN = "turn"


class Overloaded(ServiceUnavailable):
    message = "The server has too much to do. Try again in some seconds."


class Admission:
    """Lets `most` requests run at once. Probes never wait; nor do WebSockets, which have bounds of their own."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._running: dict[int, float] = {}  # when each turn began; the longest comes first
        self._slow: set[int] = set()
        self._turns = 0
        self._waiting: FairQueue[int | None] = FairQueue()
        self._look_again: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        if PROBES_ONLY in state:
            turn = None
        elif len(self._running) < self._most:
            turn = self._begin()
        else:
            turn = await self._wait(scope)
        if turn is None:
            await _refuse(scope, receive, send)
            return
        state[_TURN] = self, turn
        try:
            if CLIENT_GONE not in state:
                await self._app(scope, receive, send)
        finally:
            self.end(turn)

    def end(self, turn: int) -> None:
        """Lets the next one run, unless the turn has ended before."""
        if self._running.pop(turn, None) is not None or turn in self._slow:
            self._slow.discard(turn)
            self._go_on()

    def _begin(self) -> int:
        self._turns = turn = self._turns + 1
        self._running[turn] = time.monotonic()
        return turn

    def _go_on(self) -> None:
        while len(self._running) < self._most and (called := self._waiting.next()):
            called.set_result(self._begin())

    async def _wait(self, scope: Scope) -> int | None:
        """The turn, or None if it did not come in time."""
        if self._waiting.length >= MOST_WAITING:
            return None
        caller = _caller(scope)
        awaited = self._waiting.join(caller)
        if self._look_again is None:
            self._look()
        timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, _give_up, awaited)
        try:
            return await awaited
        except asyncio.CancelledError:
            if not awaited.cancelled() and (turn := awaited.result()) is not None:  # it came at the same moment
                self.end(turn)
            raise
        finally:
            timer.cancel()
            self._waiting.leave(caller, awaited)

    def _look(self) -> None:
        """Lets others run beside those that take long, and looks again for as long as anybody waits."""
        now = time.monotonic()
        while self._running and len(self._slow) < self._most * MOST_SLOW:
            longest, began = next(iter(self._running.items()))
            if now - began < COUNTS_SECONDS:
                break
            del self._running[longest]
            self._slow.add(longest)
        self._go_on()
        waits = self._waiting.length > 0
        self._look_again = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look) if waits else None


def _give_up(place: asyncio.Future[int | None]) -> None:
    if not place.done():
        place.set_result(None)


def end_turn(scope: Scope) -> None:
    """For an answer that goes on as a stream: it is bounded by other means, and others may run."""
    if turn := scope["state"].pop(_TURN, None):
        admission, number = turn
        admission.end(number)


def _caller(scope: Scope) -> str:
    """Whoever has the same token, or else the same address."""
    connection = HTTPConnection(scope)
    return connection.headers.get("authorization") or (connection.client.host if connection.client else "")


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    media_type = accepted(HTTPConnection(scope).headers.get("accept")).refusal
    response = answers.refusal(Overloaded(), scope["state"]["request_id"], media_type=media_type, headers=RETRY_AFTER)
    await framed(response, media_type)(scope, receive, send)
