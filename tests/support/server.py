"""Servers on real sockets, and a client of one viewer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import uvicorn

from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.events import Hub
from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.authentication import issue_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A client of one viewer."""

    http: httpx.AsyncClient
    settings: Settings
    viewer: str

    @property
    def token(self) -> str:
        assert self.settings.jwt_secret is not None
        return issue_token(
            self.settings.jwt_secret,
            subject=self.viewer,
            issuer=self.settings.jwt_issuer,
            audience=self.settings.jwt_audience,
            lifetime=timedelta(hours=1),
        )

    async def post(self, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a query. Header names have underscores in place of hyphens."""
        extra_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/graphql-response+json",
                **extra_headers,
            },
        )

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of a response without errors."""
        answer = (await self.post(query, variables)).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the only error of a response."""
        answer = (await self.post(query, variables)).json()
        assert len(answer["errors"]) == 1, answer
        error: dict[str, Any] = answer["errors"][0]
        return error


@asynccontextmanager
async def serving(settings: Settings, *, worker: bool = False) -> AsyncGenerator[str]:
    """Serve the application with uvicorn on a free port of this machine, and yield its URL.

    The job engine is global to a process: at most one server at a time works on jobs (`tests/support/worked.py`).
    """
    async with started(settings, worker=worker) as (_, url):
        yield url


@asynccontextmanager
async def serving_api(settings: Settings, viewer: str = "nobody") -> AsyncGenerator[Api]:
    """Start a server of the test's own, and yield a client of one viewer."""
    async with started_api(settings, viewer) as (_, api):
        yield api


@asynccontextmanager
async def started_api(settings: Settings, viewer: str, **options: Any) -> AsyncGenerator[tuple[uvicorn.Server, Api]]:
    """Start a server of the test's own without a worker, and yield it with a client of one viewer."""
    async with (
        started(settings, worker=False, **options) as (server, url),
        httpx.AsyncClient(base_url=url, verify=get_ssl_context(), timeout=30) as client,
    ):
        yield server, Api(http=client, settings=settings, viewer=viewer)


def hub_of(server: uvicorn.Server) -> Hub:
    """Return the hub of events of a server in this process."""
    hub: Hub = server.lifespan.state["services"].subscriptions.hub
    return hub


@asynccontextmanager
async def started(
    settings: Settings, *, worker: bool = False, **options: Any
) -> AsyncGenerator[tuple[uvicorn.Server, str]]:
    """Serve the application, and yield the server and its URL."""
    options = {**server_options(settings), "loop": "asyncio", **options}
    config = uvicorn.Config(create_app(settings, worker=worker), host="127.0.0.1", port=0, **options)
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
        if task.done():
            task.result()
    try:
        yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
