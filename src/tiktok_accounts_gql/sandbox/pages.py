"""What the sandbox's pages share: everything stands in the page itself, and no script runs."""

from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from tiktok_accounts_gql.sandbox.portraits import portrait

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ICON = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3.5" fill="#e11d48"/>'
    '<path d="M2.4 4.2 3.6 5.4 5.7 2.9" fill="none" stroke="#fff" stroke-width=".9"/></svg>'
)
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<link rel="icon" href="$icon">
<style>
$style</style>
</head>
<body class="$kind">
$body
</body>
</html>
"""
)


def page(title: str, body: str, *, kind: str) -> str:
    """`body` is HTML; `kind` chooses its look."""
    return _PAGE.substitute(title=escape(title), icon=_ICON, style=_style(), body=body, kind=kind)


def respond(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, headers=_HEADERS)


def picture(union_id: str, side: int) -> str:
    """Twice as large as it is shown, for fine screens."""
    content = b64encode(portrait(union_id, 2 * side)).decode()
    return f'<img src="data:image/png;base64,{content}" alt="" width="{side}" height="{side}">'


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text()
