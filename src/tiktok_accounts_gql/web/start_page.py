"""Where an authorization begins: a page that names for whom it is. Its button leads on to TikTok.

A link can be sent to anybody, so a link alone does nothing: whoever follows it reads who would have the account, and has to
press. Only this page may press (no frame, no form of another site), and the browser has to show the cookie that came with it.
"""

import secrets
from html import escape
from string import Template
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tiktok_accounts_gql.errors import OperationError, RequestError
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.start_pages import StartPage
from tiktok_accounts_gql.web import answers, pages
from tiktok_accounts_gql.web.browser import find_browser, keep_browser
from tiktok_accounts_gql.web.edge import request_id

_SECRET_BYTES = 32
_TITLE = "Connect a TikTok account?"
_BODY = Template(
    """<p>The TikTok account that you choose next will be connected for this user of <b>$app</b>:</p>
<p class="who">$who</p>
<p>They will see its profile, its followers and its likes. Go on only if this is you, and you have just asked for it there.
Did somebody send you this link? Then close this page.</p>
<form method="post"><button>Continue to TikTok</button></form>"""
)
_NO_COOKIE = (
    "This browser did not keep the cookie that shows that it is you who comes back from TikTok. Allow cookies of {host}, "
    "and start again from the app."
)
_NOT_OURS = "This can be confirmed on our own page only. Close this page, and start again from the app."


async def start(request: Request) -> Response:
    """GET shows the page and changes nothing; POST, from the page, goes on to TikTok."""
    if request.method == "HEAD":
        return Response(headers=pages.HEADERS, media_type=HTMLResponse.media_type)
    services: Services = request.state.services
    try:
        return await (_go_on(request, services) if request.method == "POST" else _show(request, services))
    except OperationError as mistake:
        return _refused(mistake.message, 400)
    except RequestError as error:
        return answers.refusal(error, request_id(request))


async def _show(request: Request, services: Services) -> Response:
    """Raises OperationError and RequestError."""
    browser = find_browser(request, services.public_url)
    shown = await services.start_pages.find(pages.query_value(request, "state") or "", browser)
    body = _BODY.substitute(app=escape(shown.app), who=_who(shown))
    # The consent page too, and what it redirects to: Chromium applies the rule to redirects after a form. And with
    # `no-referrer` a browser would hide from us that the form is our own.
    targets = f"'self' https: {_origin(services.start_pages.consent_page)}"
    response = pages.page(_TITLE, body, pages.RED, form_action=targets, referrer="same-origin")
    keep_browser(response, services.public_url, browser or secrets.token_urlsafe(_SECRET_BYTES))
    return response


async def _go_on(request: Request, services: Services) -> Response:
    """Raises OperationError and RequestError."""
    if not _is_from_own_page(request, services.public_url):
        return _refused(_NOT_OURS, 403)
    browser = find_browser(request, services.public_url)
    if browser is None:
        return _refused(_NO_COOKIE.format(host=urlsplit(services.public_url).hostname), 400)
    link = await services.start_pages.go_on(pages.query_value(request, "state") or "", browser)
    response = RedirectResponse(link, 303, headers=pages.HEADERS)
    keep_browser(response, services.public_url, browser)
    return response


def _is_from_own_page(request: Request, public_url: str) -> bool:
    """Every browser says either; `Sec-Fetch-Site` cannot be wrong behind a proxy, but comes by https only."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return origin == _origin(public_url) or urlsplit(origin).netloc == request.headers.get("host", "")


def _who(shown: StartPage) -> str:
    if shown.viewer_name is None or shown.viewer_name == shown.viewer_id:
        return f"<b>{escape(shown.viewer_id)}</b>"
    return f"<b>{escape(shown.viewer_name)}</b><span>{escape(shown.viewer_id)}</span>"


def _refused(text: str, status: int) -> Response:
    return pages.message_page("Not connected", text, pages.RED, status)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
