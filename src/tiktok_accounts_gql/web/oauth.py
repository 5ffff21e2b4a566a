"""Where TikTok sends the browser back to. No token comes with it: the `state` says whose authorization it is, and a cookie
that this is the browser that went to TikTok for it.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tiktok_accounts_gql.errors import InvalidInput, RequestError
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.callbacks import AuthorizationResult, Callback
from tiktok_accounts_gql.web import answers, pages
from tiktok_accounts_gql.web.browser import find_browser
from tiktok_accounts_gql.web.edge import client_address, request_id


async def callback(request: Request) -> Response:
    """Back to `returnTo` with `accountId` or `error`; without one, a page that says what happened."""
    if request.method == "HEAD":  # somebody looks whether the link works: the state is for who follows it
        return Response(headers=pages.HEADERS, media_type=HTMLResponse.media_type)
    services: Services = request.state.services
    address, browser = client_address(request), find_browser(request, services.public_url)
    state, code, error = (pages.query_value(request, name) for name in ("state", "code", "error"))
    told = Callback(state=state or "", code=code, error=error)
    try:
        finished = await services.authorizations.finish(
            told, browser=browser, request_id=request_id(request), ip_address=address
        )
    except InvalidInput as mistake:
        finished = AuthorizationResult(return_to=None, error=mistake)
    except RequestError as error:
        return answers.refusal(error, request_id(request))
    return _page(finished) if finished.return_to is None else _back(finished, finished.return_to)


def _back(finished: AuthorizationResult, return_to: str) -> Response:
    parts = urlsplit(return_to)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("accountId", "error")]
    query += _outcome(finished).items()
    return RedirectResponse(urlunsplit(parts._replace(query=urlencode(query))), 303, headers=pages.HEADERS)


def _outcome(finished: AuthorizationResult) -> dict[str, str]:
    if finished.connected is not None:
        return {"accountId": ids.encode(ids.Kind.ACCOUNT, finished.connected.account.id)}
    return {"error": finished.error.code.value if finished.error else "INVALID_INPUT"}


def _page(finished: AuthorizationResult) -> Response:
    if finished.connected is not None:
        text = f"{finished.connected.account.display_name} is connected. You can close this page."
        return pages.message_page("Connected", text, pages.GREEN, 200)
    why = finished.error.message if finished.error else ""
    text = f"{why} You can close this page and go back to the app."
    return pages.message_page("Not connected", text, pages.RED, 400)
