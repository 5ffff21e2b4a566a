"""The least that the parts take: uvicorn and asyncpg, with nothing of a GraphQL server between them.

One page of accounts is all that it answers, from our own tables. A token is known if it came before, and an event is inserted,
in groups, before the answer leaves. No errors, no logs, no limits. LEAST_KEEPS: answers are kept for ever.
"""

import asyncio
import os
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import asyncpg
import jwt
import orjson
from starlette.types import Receive, Scope, Send
from uuid_utils.compat import uuid7

PAGE = """
    SELECT id, username, display_name, avatar_hash, status, follower_count, following_count, video_count, last_synced_at,
    created_at FROM accounts WHERE viewer_id = $1 AND disconnected_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2
"""
EVENT = """
    INSERT INTO audit_events
    (id, viewer_id, action, is_change, created_at, account_id, actor, request_id, ip_address, details)
    VALUES ($1, $2, 'ACCOUNTS_LISTED', false, $3, NULL, 'USER', '0', '127.0.0.1', $4)
"""
KEEPS = "LEAST_KEEPS" in os.environ
idle: list[Any] = []
viewers: dict[bytes, str] = {}
kept: dict[tuple[str, bytes], bytes] = {}
waiting: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    viewer = known(dict(scope["headers"])[b"authorization"])
    body = (await receive())["body"]
    key = viewer, body
    answer = kept.get(key) or await read(viewer, orjson.loads(body)["variables"]["first"])
    if KEEPS:
        kept[key] = answer
    await record(viewer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def known(authorization: bytes) -> str:
    digest = sha256(authorization).digest()
    if digest not in viewers:
        viewers[digest] = jwt.decode(authorization[7:], options={"verify_signature": False})["sub"]
    return viewers[digest]


async def read(viewer: str, first: int) -> bytes:
    rows = await ask(lambda db: db.fetch(PAGE, viewer, first + 1))
    edges = [edge(row) for row in rows[:first]]
    ends = {"startCursor": edges[0]["cursor"], "endCursor": edges[-1]["cursor"]}
    page_info = {"hasNextPage": len(rows) > first, "hasPreviousPage": False, **ends}
    return orjson.dumps({"data": {"accounts": {"edges": edges, "pageInfo": page_info}}}, option=orjson.OPT_UTC_Z)


def edge(row: Any) -> dict[str, Any]:
    key, username, name, picture, status, followers, following, videos, synced, created = row
    node = {
        "id": urlsafe_b64encode(b"A" + key.bytes).decode(),
        "username": username,
        "displayName": name,
        "avatarUrl": picture,
        "status": status,
        "followerCount": followers,
        "followingCount": following,
        "videoCount": videos,
        "lastSyncedAt": synced,
        "createdAt": created,
    }
    place = key.bytes + int(created.timestamp() * 1e6).to_bytes(8)
    return {"cursor": urlsafe_b64encode(place).decode(), "node": node}


async def record(viewer: str) -> None:
    done = asyncio.get_running_loop().create_future()
    details = '[{"name":"count","value":"20","previousValue":null}]'
    waiting.append(((uuid7(), viewer, datetime.now(UTC), details), done))
    if len(waiting) == 1:
        asyncio.create_task(write())  # noqa: RUF006 - it ends before the answer leaves
    await done


async def write() -> None:
    while waiting:
        group = waiting[:]
        await insert([event for event, _ in group])
        del waiting[: len(group)]
        for _, done in group:
            done.set_result(None)


async def insert(events: list[tuple[Any, ...]]) -> None:
    await ask(lambda db: db.executemany(EVENT, events))


async def ask(question: Callable[[Any], Awaitable[Any]]) -> Any:
    db = idle.pop() if idle else await asyncpg.connect(os.environ["LEAST_DATABASE_URL"])
    answer = await question(db)
    idle.append(db)
    return answer


async def live(receive: Receive, send: Send) -> None:
    for told in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{told}.complete"})
