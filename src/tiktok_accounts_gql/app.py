"""Creates the ASGI application: routes, middleware, lifespan."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
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
from tiktok_accounts_gql.web.authentication import Authenticator
from tiktok_accounts_gql.web.concurrency import ConcurrencyLimiter
from tiktok_accounts_gql.web.connection_limits import ConnectionLimiter, max_connections
from tiktok_accounts_gql.web.cors import add_cors
from tiktok_accounts_gql.web.graphiql.examples import load_examples
from tiktok_accounts_gql.web.graphiql.page import Explorer
from tiktok_accounts_gql.web.graphql import PATH, GraphQLEndpoint
from tiktok_accounts_gql.web.health import livez, readyz
from tiktok_accounts_gql.web.list_cache import ListCache
from tiktok_accounts_gql.web.metrics import Metrics
from tiktok_accounts_gql.web.middleware import RequestMiddleware
from tiktok_accounts_gql.web.oauth import callback
from tiktok_accounts_gql.web.persisted_queries import PersistedQueries
from tiktok_accounts_gql.web.sockets import SocketEndpoint
from tiktok_accounts_gql.wiring import open_services

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# Of Python's garbage collector, for generations 0 to 2: a page has thousands of objects, hardly any of them in cycles.
GC_THRESHOLDS = (20_000, 20, 50)


def create_app(settings: Settings, *, worker: bool = True) -> ASGIApp:
    """Return the application, the same in production and in tests. It opens its database and its clients when it starts.

    `worker`: whether sync jobs run in this process as well.
    """
    is_development = settings.environment == "development"
    explorer = Explorer(load_examples()) if is_development else None
    metrics = Metrics()
    engine = create_graphql_engine(development=is_development, compiled=settings.compiled_operations, metrics=metrics)
    persisted = PersistedQueries(engine)
    sockets = SocketEndpoint(engine=engine, persisted=persisted, origins=settings.origins)
    router = Router(
        routes=[WebSocketRoute(PATH, sockets.handle), *create_routes(metrics, explorer)],
        lifespan=_create_lifespan(settings, metrics, worker=worker),
        redirect_slashes=False,
        default=_not_found,
    )
    graphql = GraphQLEndpoint(engine=engine, explorer=explorer, persisted=persisted)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """Call the GraphQL endpoint without going through the router, because most requests are for it."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await graphql(scope, receive, send)
            return
        scope["app"] = router  # so that Starlette's routes raise HTTPException, and do not send a response of their own
        await router(scope, receive, send)

    return _add_middleware(dispatch, settings, metrics)


def create_routes(metrics: Metrics, explorer: Explorer | None) -> list[BaseRoute]:
    """Return all HTTP routes except the GraphQL endpoint."""
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
    """Create the application from environment variables. Uvicorn calls this in every process that it starts."""
    return _create_from_environment(worker=True)


def app_without_worker() -> ASGIApp:
    """Create the application as `app_from_environment` does; sync jobs run in other processes."""
    return _create_from_environment(worker=False)


def _create_from_environment(*, worker: bool) -> ASGIApp:
    settings = load_settings()
    configure_logs(settings.environment)
    app = create_app(settings, worker=worker)
    tune_gc()
    return app


def tune_gc() -> None:
    """Exclude the objects that exist now from garbage collection, and collect less often.

    To be called when the application has been created: its objects live as long as the process, and going through them in each
    collection would interrupt every request.
    """
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)
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


def create_graphql_engine(*, development: bool, compiled: bool, metrics: Metrics) -> Engine:
    """Return the engine. Introspection and suggestions in error messages are available in development only."""
    schema = create_schema()
    documents = DocumentCache(schema, Limits(), introspection=development, hide_suggestions=not development)
    return Engine(schema, documents, hide_suggestions=not development, compiled=compiled, count=metrics.count_operation)


class AppState(TypedDict):
    """The state that the lifespan yields: Starlette copies it into `scope["state"]` of each request."""

    connections: ConnectionLimiter
    authenticator: Authenticator
    services: Services
    db: Database
    lists: ListCache | None
    stopping: asyncio.Event  # set by the server when it is about to stop


def _create_lifespan(
    settings: Settings, metrics: Metrics, *, worker: bool
) -> Callable[[Router], AbstractAsyncContextManager[AppState]]:
    @asynccontextmanager
    async def lifespan(router: Router) -> AsyncGenerator[AppState]:
        del router
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(
                open_services(settings, count_unreadable=metrics.count_unreadable, count_failure=metrics.count_failure)
            )
            await check_migrated(running.db)
            await stack.enter_async_context(in_background(running, settings, worker=worker, watched=True))
            authenticator = create_authenticator(settings)
            stack.push_async_callback(authenticator.aclose)
            connections = ConnectionLimiter(max_connections=max_connections(settings))
            stack.push_async_callback(cancel_and_wait, asyncio.create_task(connections.watch_deadlines()))
            yield AppState(
                connections=connections,
                authenticator=authenticator,
                services=running.services,
                db=running.db,
                lists=ListCache.open(settings, running.changes, metrics.count_lookup),
                stopping=asyncio.Event(),
            )

    return lifespan


def _add_middleware(app: ASGIApp, settings: Settings, metrics: Metrics) -> RequestMiddleware:
    limited = ConcurrencyLimiter(app, max_running=settings.max_requests)
    with_cors = add_cors(limited, settings)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """Skip the CORS middleware for requests without an Origin: they are not from a page of another origin."""
        has_origin = b"origin" in dict(scope.get("headers", ()))
        await (with_cors if has_origin else limited)(scope, receive, send)

    public_host = urlsplit(settings.public_url).hostname or ""
    hosts = (public_host, *LOOPBACK, *settings.allowed_hosts)
    return RequestMiddleware(dispatch, hosts=hosts, observe=metrics.observe_request)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise HTTPException(404)
