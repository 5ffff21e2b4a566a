"""Webhooks that TikTok posts to an app, signed with its client secret.

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
SIGNATURE_HEADER = "TikTok-Signature"
TIMEOUT_SECONDS = 5.0
RETRY_AFTER_SECONDS = (1.0, 3.0, 10.0, 30.0)
MAX_DELIVERIES = 200


class RemovalReason(IntEnum):
    """The reason for which an authorization ended."""

    UNKNOWN = 0
    DISCONNECTED_BY_USER = 1
    ACCOUNT_DELETED = 2
    AGE_CHANGED = 3
    BANNED = 4
    REVOKED_BY_DEVELOPER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalWebhook:
    """The event `authorization.removed`. It has no id; when it is sent again, its body is the same byte by byte."""

    open_id: str
    reason: RemovalReason
    create_time: int

    def to_body(self, client_key: str) -> bytes:
        body = {
            "client_key": client_key,
            "event": AUTHORIZATION_REMOVED,
            "create_time": self.create_time,
            "user_openid": self.open_id,
            "content": json.dumps({"reason": int(self.reason)}),
        }
        return json.dumps(body).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt to send a webhook. `status` is None without a response."""

    time: float
    open_id: str
    reason: int
    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """Sends webhooks to `url`; without one it sends nothing."""

    url: str | None
    client_key: str
    client_secret: str = field(repr=False)
    clock: Callable[[], float]
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=MAX_DELIVERIES))
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)

    async def send(self, removal: RemovalWebhook) -> Delivery | None:
        """Send a webhook, and again in the background if the response is not 200. Return the first attempt."""
        if self.url is None:
            return None
        delivery = await self._post(self.url, removal)
        if delivery.status != httpx.codes.OK:
            self._start_task(self._retry(self.url, removal))
        return delivery

    def send_in_background(self, removal: RemovalWebhook) -> None:
        if self.url is not None:
            self._start_task(self.send(removal))

    def sign(self, body: bytes, time: int) -> str:
        """Return the value of the signature header."""
        signature = hmac.digest(self.client_secret.encode(), f"{time}.".encode() + body, "sha256").hex()
        return f"t={time},s={signature}"

    async def _retry(self, url: str, removal: RemovalWebhook) -> None:
        for seconds in RETRY_AFTER_SECONDS:
            await asyncio.sleep(seconds)
            if (await self._post(url, removal)).status == httpx.codes.OK:
                return

    async def _post(self, url: str, removal: RemovalWebhook) -> Delivery:
        body = removal.to_body(self.client_key)
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: self.sign(body, int(self.clock()))}
        try:
            async with httpx.AsyncClient(verify=get_ssl_context(), timeout=TIMEOUT_SECONDS) as http:
                status = (await http.post(url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            status = None
        delivery = Delivery(time=self.clock(), open_id=removal.open_id, reason=int(removal.reason), status=status)
        self.deliveries.append(delivery)
        return delivery

    def _start_task(self, coroutine: Coroutine[None, None, object]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
