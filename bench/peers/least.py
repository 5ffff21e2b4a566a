"""A minimal server: uvicorn and asyncpg, without a GraphQL server between them.

It answers one page of accounts, from our tables. It decodes each token once, and inserts an audit event before it answers, in
groups. It has no errors, logs or limits. With LEAST_KEEPS in the environment it caches answers without an expiry.
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
HAS_CACHE = "LEAST_KEEPS" in os.environ
idle: list[Any] = []
viewers: dict[bytes, str] = {}
cache: dict[tuple[str, bytes], bytes] = {}
queue: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await run_lifespan(receive, send)
        return
    viewer = identify(dict(scope["headers"])[b"authorization"])
    body = (await receive())["body"]
    key = viewer, body
    answer = cache.get(key) or await read(viewer, orjson.loads(body)["variables"]["first"])
    if HAS_CACHE:
        cache[key] = answer
    await record(viewer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def identify(authorization: bytes) -> str:
    digest = sha256(authorization).digest()
    if digest not in viewers:
        viewers[digest] = jwt.decode(authorization[7:], options={"verify_signature": False})["sub"]
    return viewers[digest]


async def read(viewer: str, first: int) -> bytes:
    rows = await query(lambda db: db.fetch(PAGE, viewer, first + 1))
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
    queue.append(((uuid7(), viewer, datetime.now(UTC), details), done))
    if len(queue) == 1:
        asyncio.create_task(write())  # noqa: RUF006 - it ends before the answer leaves
    await done


async def write() -> None:
    while queue:
        group = queue[:]
        await insert([event for event, _ in group])
        del queue[: len(group)]
        for _, done in group:
            done.set_result(None)


async def insert(events: list[tuple[Any, ...]]) -> None:
    await query(lambda db: db.executemany(EVENT, events))


async def query(call: Callable[[Any], Awaitable[Any]]) -> Any:
    db = idle.pop() if idle else await asyncpg.connect(os.environ["LEAST_DATABASE_URL"])
    result = await call(db)
    idle.append(db)
    return result


async def run_lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
