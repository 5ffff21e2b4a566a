"""What TikTok posts to an app, signed with its client secret.

Source: TikTok for Developers, "Webhooks: Event Types" and "Webhooks: Verification".
"""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum

import httpx

from tiktok_accounts_gql.tls import get_ssl_context

AUTHORIZATION_REMOVED = "authorization.removed"
SIGNATURE = "TikTok-Signature"
PATIENCE_SECONDS = 5.0
RETRY_AFTER_SECONDS = (1.0, 3.0, 10.0, 30.0)
KEPT = 200


class Reason(IntEnum):
    """Why an authorization ended."""

    UNKNOWN = 0
    DISCONNECTED_BY_USER = 1
    ACCOUNT_DELETED = 2
    AGE_CHANGED = 3
    BANNED = 4
    REVOKED_BY_DEVELOPER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """`authorization.removed`. The body of a repetition is the same, byte by byte: there is no event id."""

    open_id: str
    reason: Reason
    create_time: int

    def body(self, client_key: str) -> bytes:
        told = {
            "client_key": client_key,
            "event": AUTHORIZATION_REMOVED,
            "create_time": self.create_time,
            "user_openid": self.open_id,
            "content": json.dumps({"reason": int(self.reason)}),
        }
        return json.dumps(told).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt. `status` is None if nobody answered."""

    time: float
    open_id: str
    reason: int
    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Without a URL nothing is sent."""

    url: str | None
    client_key: str
    client_secret: str = field(repr=False)
    clock: Callable[[], float]
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=KEPT))
    _underway: set[asyncio.Task[None]] = field(default_factory=set)

    async def send(self, removal: Removal) -> Delivery | None:
        """Tries once, and again in the background if the app does not answer 200."""
        if self.url is None:
            return None
        delivery = await self._post(self.url, removal)
        if delivery.status != httpx.codes.OK:
            self._in_background(self._repeat(self.url, removal))
        return delivery

    def send_soon(self, removal: Removal) -> None:
        """After whatever is being answered now."""
        if self.url is not None:
            self._in_background(self._send_later(removal))

    def sign(self, body: bytes, time: int) -> str:
        """The value of the header."""
        signature = hmac.digest(self.client_secret.encode(), f"{time}.".encode() + body, "sha256").hex()
        return f"t={time},s={signature}"

    async def _send_later(self, removal: Removal) -> None:
        await self.send(removal)

    async def _repeat(self, url: str, removal: Removal) -> None:
        for seconds in RETRY_AFTER_SECONDS:
            await asyncio.sleep(seconds)
            if (await self._post(url, removal)).status == httpx.codes.OK:
                return

    async def _post(self, url: str, removal: Removal) -> Delivery:
        body = removal.body(self.client_key)
        headers = {"Content-Type": "application/json", SIGNATURE: self.sign(body, int(self.clock()))}
        try:
            async with httpx.AsyncClient(verify=get_ssl_context(), timeout=PATIENCE_SECONDS) as http:
                status = (await http.post(url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            status = None
        reason, now = int(removal.reason), self.clock()
        delivery = Delivery(time=now, open_id=removal.open_id, reason=reason, status=status)
        self.deliveries.append(delivery)
        return delivery

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
