"""Which pages of other origins may call the API (CORS), and which headers they may send.

Tools that watch or trace a page add headers to each of its requests. A browser asks first whether it may (a preflight), and
with one header that is not allowed it sends nothing.
"""

from fnmatch import fnmatchcase

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.edge import REQUEST_ID
from tiktok_accounts_gql.web.list_cache import CACHE_STATUS

_MAX_AGE_SECONDS = 3600
_OWN = f"accept accept-language authorization cache-control content-language content-type last-event-id pragma {REQUEST_ID}"
_CLIENTS = """
apollographql-client-* apollo-require-preflight x-apollo-* graphql-* x-graphql-* x-requested-with
"""
_TRACING = """
traceparent tracestate baggage correlation-context sentry-trace x-datadog-* b3 x-b3-* x-amzn-trace-id x-cloud-trace-context
newrelic elastic-apm-traceparent uber-trace-id uberctx-* x-instana-* x-dynatrace x-dtpc x-dtreferer x-honeycomb-trace
x-correlation-id request-id request-context
"""
HEADERS = tuple(f"{_OWN} {_CLIENTS} {_TRACING}".lower().split())


class Cors(CORSMiddleware):
    """`headers`: names in lower case, in which `*` stands for any characters. What is allowed is what was asked for."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], headers: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=(REQUEST_ID, "Retry-After", CACHE_STATUS),
            max_age=_MAX_AGE_SECONDS,
        )
        self._headers = headers

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        names = request_headers.get("access-control-request-headers", "").split(",")
        if all(self._is_allowed(name.strip().lower()) for name in names):
            return response
        return PlainTextResponse("Disallowed CORS headers", 400, self.preflight_headers)

    def _is_allowed(self, name: str) -> bool:
        return not name or any(fnmatchcase(name, allowed) for allowed in self._headers)


def share(app: ASGIApp, settings: Settings) -> Cors:
    """The application as pages of `ACCOUNTS_ALLOWED_ORIGINS` may call it."""
    own = (name.lower() for name in settings.cors_headers)
    return Cors(app, origins=settings.allowed_origins, headers=(*HEADERS, *own))
