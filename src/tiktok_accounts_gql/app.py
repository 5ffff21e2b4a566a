"""The application: routes, middleware, lifespan."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TypedDict
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tiktok_accounts_gql.background import in_background
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.migrate import check_migrated
from tiktok_accounts_gql.execution.document_cache import DocumentCache
from tiktok_accounts_gql.execution.engine import Engine
from tiktok_accounts_gql.execution.limits import Limits
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.schema.build import create_schema
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.settings import CALLBACK_PATH, START_PATH, Settings, load_settings
from tiktok_accounts_gql.tasks import cancel_and_wait
from tiktok_accounts_gql.web import avatars, start_page, webhooks
from tiktok_accounts_gql.web.admission import Admission
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.connections import Connections, most_connections
from tiktok_accounts_gql.web.cors import share
from tiktok_accounts_gql.web.edge import Edge
from tiktok_accounts_gql.web.graphiql.examples import load_examples
from tiktok_accounts_gql.web.graphiql.page import Explorer
from tiktok_accounts_gql.web.graphql import PATH, GraphQLEndpoint
from tiktok_accounts_gql.web.health import livez, readyz
from tiktok_accounts_gql.web.list_cache import ListCache
from tiktok_accounts_gql.web.metrics import Metrics
from tiktok_accounts_gql.web.oauth import callback
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.sockets import SocketEndpoint
from tiktok_accounts_gql.wiring import open_services

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class LifespanState(TypedDict):
    """What the application holds from its start to its end. Requests find it in `scope["state"]`."""

    connections: Connections
    authenticator: Authenticator
    services: Services
    db: Database
    lists: ListCache | None
    stopping: asyncio.Event


def create_app(settings: Settings, *, worker: bool = True) -> ASGIApp:
    """The same application everywhere. It opens its database and its client when it starts, not before.

    `worker`: sync jobs run in this process as well.
    """
    development = settings.environment == "development"
    explorer = Explorer(load_examples()) if development else None
    metrics = Metrics()
    engine = create_engine(development=development, compiled=settings.compiled_operations, metrics=metrics)
    persisted = PersistedQueries(engine)
    sockets = SocketEndpoint(engine=engine, persisted=persisted, origins=settings.origins)
    everything_else = Router(
        routes=[WebSocketRoute(PATH, sockets.handle), *create_routes(metrics, explorer)],
        lifespan=_lifespan(settings, metrics, worker=worker),
        redirect_slashes=False,
        default=_nothing,
    )
    graphql = GraphQLEndpoint(engine=engine, explorer=explorer, persisted=persisted)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """What is asked for most goes past the router."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await graphql(scope, receive, send)
            return
        scope["app"] = everything_else  # a route raises then, in place of answering by itself
        await everything_else(scope, receive, send)

    return _at_the_edge(app, settings, metrics)


def create_routes(metrics: Metrics, explorer: Explorer | None) -> list[BaseRoute]:
    """By HTTP, all but the endpoint of GraphQL."""
    return [
        Route(START_PATH, start_page.start, methods=["GET", "POST"]),
        Route(CALLBACK_PATH, callback),
        Route(webhooks.PATH, webhooks.webhook, methods=["POST"]),
        Route(avatars.PATH, avatars.avatar),
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", metrics.page),
        *(explorer.routes() if explorer else ()),
    ]


def app_from_environment() -> ASGIApp:
    """For uvicorn, which calls this in every process that it starts."""
    return _from_environment(worker=True)


def app_without_worker() -> ASGIApp:
    """As `app_from_environment`; sync jobs run in other processes."""
    return _from_environment(worker=False)


def _from_environment(*, worker: bool) -> ASGIApp:
    settings = load_settings()
    configure_logs(settings.environment)
    app = create_app(settings, worker=worker)
    tame_collector()
    return app


def tame_collector() -> None:
    """Once all that lives as long as the process is there: looking at it again and again would stop every request."""
    gc.collect()
    gc.set_threshold(20_000, 20, 50)  # a page has thousands of objects, and next to none in circles
    gc.freeze()


def create_authenticator(settings: Settings) -> Authenticator:
    return Authenticator(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        client_ids=settings.jwt_client_ids,
        leeway=timedelta(seconds=settings.jwt_leeway_seconds),
        secret=settings.jwt_secret,
        jwks_url=settings.jwt_jwks_url,
    )


def create_engine(*, development: bool, compiled: bool, metrics: Metrics) -> Engine:
    schema = create_schema()
    documents = DocumentCache(schema, Limits(), introspection=development, hide_suggestions=not development)
    return Engine(schema, documents, hide_suggestions=not development, compiled=compiled, count=metrics.count_operation)


def _lifespan(
    settings: Settings, metrics: Metrics, *, worker: bool
) -> Callable[[Router], AbstractAsyncContextManager[LifespanState]]:
    @asynccontextmanager
    async def lifespan(app: Router) -> AsyncGenerator[LifespanState]:
        del app
        async with open_services(
            settings, count_unreadable=metrics.count_unreadable, count_failure=metrics.count_failure
        ) as running:
            await check_migrated(running.db)
            async with in_background(running, settings, worker=worker, watched=True):
                authenticator = create_authenticator(settings)
                connections = Connections(most=most_connections(settings))
                watching = asyncio.create_task(connections.watch())
                try:
                    yield {
                        "connections": connections,
                        "authenticator": authenticator,
                        "services": running.services,
                        "db": running.db,
                        "lists": ListCache.open(settings, running.changes, metrics.count_lookup),
                        "stopping": asyncio.Event(),  # set by the server
                    }
                finally:
                    await cancel_and_wait(watching)
                    await authenticator.aclose()

    return lifespan


def _at_the_edge(app: ASGIApp, settings: Settings, metrics: Metrics) -> Edge:
    public = urlsplit(settings.public_url).hostname or ""
    admitted = Admission(app, most=settings.max_requests)
    shared = share(admitted, settings)

    async def entered(scope: Scope, receive: Receive, send: Send) -> None:
        """Pages of other origins say so; nobody else has anything to do with CORS."""
        asked = shared if b"origin" in dict(scope.get("headers", ())) else admitted
        await asked(scope, receive, send)

    hosts = (public, *LOOPBACK, *settings.allowed_hosts)
    return Edge(entered, hosts=hosts, observe=metrics.observe_request)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise HTTPException(404)
