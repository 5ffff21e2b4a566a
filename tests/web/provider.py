"""An identity provider: a real server on this machine that serves public keys, with tokens signed by their owners."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.web.forging import Changes, PrivateKey, by, changed, claims, forged, public_jwk
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.jwks import JwksKeys


class Provider:
    """Serves what a test tells it to, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.answer = Response(status_code=500)
        self.delay_seconds = 0.0

    def reset(self, *keys: Any) -> None:
        """Forget all requests, and serve these keys without a delay."""
        self.asked.clear()
        self.delay_seconds = 0
        self.serve(*keys)

    def serve(self, *keys: Any) -> None:
        self.answer = Response(json.dumps({"keys": keys}))

    def break_down(self) -> None:
        self.answer = Response(status_code=500)

    async def respond(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        await asyncio.sleep(self.delay_seconds)
        return self.answer


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def serving() -> Iterator[Provider]:
    provider = Provider()
    app = Starlette(routes=[Route("/{path:path}", provider.respond)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none", loop="asyncio"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    provider.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/jwks.json"
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join()


def jwk(kid: Any, key: PrivateKey, algorithm: str = "RS256", **changes: Any) -> Changes:
    return changed(public_jwk(key, algorithm) | {"kid": kid}, changes)


def bearer(kid: Any, key: PrivateKey, algorithm: str = "RS256", **header: Any) -> str:
    named = {} if kid is None else {"kid": kid}
    return "Bearer " + forged(changed({"alg": algorithm, **named}, header), claims(), by(key, algorithm))


async def fetched(authenticator: Authenticator) -> None:
    """What a request has begun beside itself."""
    keys = authenticator._keys
    assert isinstance(keys, JwksKeys)
    assert keys._fetch_task is not None
    await asyncio.wait([keys._fetch_task], timeout=10)
