"""TikTok's webhooks, and what they lead to."""

import asyncio
import hmac
import json
import time
from hashlib import sha256
from typing import Any

import httpx
from sqlalchemy import select
from sqlmodel import col

from tests.connecting import stored
from tests.support.tiktok import CLIENT_KEY, CLIENT_SECRET
from tiktok_accounts_gql.db.models import Account, WebhookEvent
from tiktok_accounts_gql.web.webhooks import PATH, SIGNATURE
from tiktok_accounts_gql.wiring import Running


def removal(open_id: str, reason: Any = 1, *, at: float | None = None, **changes: Any) -> bytes:
    """As TikTok's pages show it: `content` is a JSON string."""
    body = {
        "client_key": CLIENT_KEY,
        "event": "authorization.removed",
        "create_time": int(time.time() + 1 if at is None else at),
        "user_openid": open_id,
        "content": json.dumps({"reason": reason}),
    }
    return json.dumps({**body, **changes}).encode()


def signature(body: bytes, *, at: float | None = None, secret: str = CLIENT_SECRET) -> str:
    when = int(time.time() if at is None else at)
    return f"t={when},s={hmac.new(secret.encode(), b'%d.' % when + body, sha256).hexdigest()}"


async def post(http: httpx.AsyncClient, body: bytes, *, signed: str | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/json", SIGNATURE: signature(body) if signed is None else signed}
    return await http.post(PATH, content=body, headers=headers)


async def event(running: Running, body: bytes) -> WebhookEvent | None:
    async with running.db.read() as session:
        webhook_event: WebhookEvent | None = await session.scalar(
            select(WebhookEvent).where(col(WebhookEvent.body_hash) == sha256(body).digest())
        )
    return webhook_event


async def processed(running: Running, body: bytes, *, seconds: float = 2) -> None:
    deadline = time.monotonic() + seconds
    while (webhook_event := await event(running, body)) is None or webhook_event.processed_at is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def only_account(running: Running, viewer: str) -> Account:
    [account] = await stored.accounts(running, viewer)
    return account


async def removals(running: Running, viewer: str) -> int:
    return (await stored.actions(running, viewer)).count("AUTHORIZATION_REMOVED")
