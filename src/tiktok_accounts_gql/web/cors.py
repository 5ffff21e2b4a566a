"""CORS: which origins may call the API, and with which headers.

Monitoring and tracing tools add headers to each request of a page. A browser asks first whether they are allowed (a preflight),
and does not send the request if one of them is not.
"""

from fnmatch import fnmatchcase

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web.list_cache import CACHE_STATUS
from tiktok_accounts_gql.web.middleware import REQUEST_ID

_MAX_AGE_SECONDS = 3600
_STANDARD = f"accept accept-language authorization cache-control content-language content-type last-event-id pragma {REQUEST_ID}"
_CLIENTS = """
apollographql-client-* apollo-require-preflight x-apollo-* graphql-* x-graphql-* x-requested-with
"""
_TRACING = """
traceparent tracestate baggage correlation-context sentry-trace x-datadog-* b3 x-b3-* x-amzn-trace-id x-cloud-trace-context
newrelic elastic-apm-traceparent uber-trace-id uberctx-* x-instana-* x-dynatrace x-dtpc x-dtreferer x-honeycomb-trace
x-correlation-id request-id request-context
"""
ALLOWED_HEADERS = tuple(f"{_STANDARD} {_CLIENTS} {_TRACING}".lower().split())


class PatternCorsMiddleware(CORSMiddleware):
    """Starlette's middleware, with patterns for allowed headers: names in lower case, in which `*` stands for any characters."""

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
        for part in request_headers.get("access-control-request-headers", "").split(","):
            name = part.strip().lower()
            if name and not any(fnmatchcase(name, pattern) for pattern in self._headers):
                return PlainTextResponse("Disallowed CORS headers", 400, self.preflight_headers)
        return response


def add_cors(app: ASGIApp, settings: Settings) -> PatternCorsMiddleware:
    """Return the application, open to pages of `ACCOUNTS_ALLOWED_ORIGINS`."""
    custom = (name.lower() for name in settings.cors_headers)
    return PatternCorsMiddleware(app, origins=settings.allowed_origins, headers=(*ALLOWED_HEADERS, *custom))
