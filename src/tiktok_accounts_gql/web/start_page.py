"""The page on which an authorization starts. It names the user who will get the account; its button leads on to TikTok.

A link can be sent to anyone, so following it changes nothing: the page says whose account it will be, and waits for the button.
Only this page can submit the form (no frame, no form of another site), and the browser has to send the cookie that was set with
it.
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
from tiktok_accounts_gql.web import pages, responses
from tiktok_accounts_gql.web.browser_cookie import find_browser_secret, set_browser_cookie
from tiktok_accounts_gql.web.middleware import request_id

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
_NOT_FROM_PAGE = "This can be confirmed on our own page only. Close this page, and start again from the app."


async def start(request: Request) -> Response:
    """Show the page (GET), or redirect to TikTok (POST, from that page)."""
    if request.method == "HEAD":
        return Response(headers=pages.HEADERS, media_type=HTMLResponse.media_type)
    services: Services = request.state.services
    try:
        return await (_redirect(request, services) if request.method == "POST" else _show(request, services))
    except OperationError as error:
        return _error_page(error.message, 400)
    except RequestError as error:
        return responses.error_response(error, request_id(request))


async def _show(request: Request, services: Services) -> Response:
    """Show the page. Raises OperationError and RequestError."""
    browser = find_browser_secret(request, services.public_url)
    start_page = await services.start_pages.get(pages.find_parameter(request, "state") or "", browser)
    body = _BODY.substitute(app=escape(start_page.app), who=_viewer_html(start_page))
    # `form-action` has to list the consent page and what it redirects to: Chromium applies it to redirects after a form. With
    # the referrer policy `no-referrer` the browser would send "Origin: null", and the form could not be recognised as ours.
    targets = f"'self' https: {_origin(services.start_pages.consent_page)}"
    response = pages.html_page(_TITLE, body, pages.RED, form_action=targets, referrer="same-origin")
    set_browser_cookie(response, services.public_url, browser or secrets.token_urlsafe(_SECRET_BYTES))
    return response


async def _redirect(request: Request, services: Services) -> Response:
    """Redirect to TikTok's consent page. Raises OperationError and RequestError."""
    if not _is_same_origin(request, services.public_url):
        return _error_page(_NOT_FROM_PAGE, 403)
    browser = find_browser_secret(request, services.public_url)
    if browser is None:
        return _error_page(_NO_COOKIE.format(host=urlsplit(services.public_url).hostname), 400)
    link = await services.start_pages.confirm(pages.find_parameter(request, "state") or "", browser)
    response = RedirectResponse(link, 303, headers=pages.HEADERS)
    set_browser_cookie(response, services.public_url, browser)
    return response


def _is_same_origin(request: Request, public_url: str) -> bool:
    """Return whether the form was submitted from this server's page.

    Every browser sends one of the two headers. `Sec-Fetch-Site` is right behind any proxy, but is sent by https only.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return origin == _origin(public_url) or urlsplit(origin).netloc == request.headers.get("host", "")


def _viewer_html(page: StartPage) -> str:
    if page.viewer_name is None or page.viewer_name == page.viewer_id:
        return f"<b>{escape(page.viewer_id)}</b>"
    return f"<b>{escape(page.viewer_name)}</b><span>{escape(page.viewer_id)}</span>"


def _error_page(text: str, status: int) -> Response:
    return pages.message_page("Not connected", text, pages.RED, status)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
