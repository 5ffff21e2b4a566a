"""The layout of the sandbox's pages. They load nothing: styles and pictures are inline, and there are no scripts."""

from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from tiktok_accounts_gql.sandbox.portraits import render_portrait

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
<body class="$body_class">
$body
</body>
</html>
"""
)


def render_page(title: str, body: str, *, body_class: str) -> str:
    """Render a page. `title` is plain text, `body` is HTML."""
    return _PAGE.substitute(title=escape(title), icon=_ICON, style=_load_style(), body=body, body_class=body_class)


def create_html_response(html: str, status: int = 200) -> Response:
    return HTMLResponse(html, status, headers=_HEADERS)


def render_picture(union_id: str, side: int) -> str:
    """Render a user's picture, `side` CSS pixels wide and high, with twice as many for high-resolution screens."""
    content = b64encode(render_portrait(union_id, 2 * side)).decode()
    return f'<img src="data:image/png;base64,{content}" alt="" width="{side}" height="{side}">'


@cache
def _load_style() -> str:
    return Path(__file__).with_name("style.css").read_text()
