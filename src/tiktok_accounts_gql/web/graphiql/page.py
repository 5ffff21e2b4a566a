"""The page of GraphiQL and its files. All of them are in this package, so the page works without an internet connection.

The page contains no token. It sends the headers of its headers tab, which `boot.js` keeps in memory only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote, urlencode

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tiktok_accounts_gql.web.graphiql.examples import Example

STATIC = Path(__file__).parent / "static"

_STYLES = ("vendor/graphiql.min.css", "vendor/plugin-explorer.css", "page.css")
_SCRIPTS = (
    "vendor/react.production.min.js",
    "vendor/react-dom.production.min.js",
    "vendor/graphiql.min.js",
    "vendor/plugin-explorer.umd.js",
    "boot.js",
)
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>TikTok accounts — GraphiQL</title>
<link rel="icon" href="$icon">
$styles
$scripts
</head>
<body>
<header id="bar">
<h1><img src="$icon" alt=""> TikTok accounts</h1>
<nav id="examples" aria-label="Saved examples">
$examples
</nav>
<p id="signed-in" role="status"></p>
</header>
<main id="graphiql"><p class="waiting">Loading GraphiQL …</p></main>
<noscript>GraphiQL needs JavaScript. The API itself does not: POST JSON to $endpoint.</noscript>
</body>
</html>
"""
)
_POLICY = (
    "default-src 'self'; "
    "style-src 'self' 'unsafe-inline'; "  # GraphiQL writes style elements
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may carry a token in `headers`
    "Cache-Control": "no-cache",
    "Vary": "Accept",  # the same address answers queries
}


@dataclass(frozen=True, slots=True)
class Explorer:
    """GraphiQL for one endpoint, with saved examples."""

    examples: Sequence[Example]
    endpoint: str = "/graphql"

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the files that the page loads."""
        return [Mount(f"{self.endpoint}/static", app=_VersionedFiles(directory=STATIC), name="graphiql-static")]

    def page(self) -> Response:
        """Return the HTML, for a GET of the endpoint that accepts it."""
        links = []  # relative ones, which fill the editor
        for example in self.examples:
            parameters = {"query": example.query} | ({"variables": example.variables} if example.variables else {})
            link = escape("?" + urlencode(parameters, quote_via=quote))
            links.append(f'<a href="{link}">{escape(example.title)}</a>')
        html = _PAGE.substitute(
            endpoint=escape(self.endpoint),
            icon=self._asset_url("icon.svg"),
            styles="\n".join(f'<link rel="stylesheet" href="{self._asset_url(name)}">' for name in _STYLES),
            scripts="\n".join(f'<script defer src="{self._asset_url(name)}"></script>' for name in _SCRIPTS),
            examples="\n".join(links),
        )
        return HTMLResponse(html, headers=_HEADERS)

    def _asset_url(self, name: str) -> str:
        return escape(f"{self.endpoint}/static/{name}?v={_version(name)}")


@cache
def _version(name: str) -> str:
    return sha256((STATIC / name).read_bytes()).hexdigest()[:16]


class _VersionedFiles(StaticFiles):
    """Static files: cached for good under a URL with their current version, revalidated under any other."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-cache"
        versions = parse_qs(scope["query_string"].decode("latin-1")).get("v")
        if versions == [_version(path)]:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
