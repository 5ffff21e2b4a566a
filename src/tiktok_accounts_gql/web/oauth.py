"""The redirect URI: where TikTok sends the browser back to.

The redirect has no bearer token. `state` identifies the authorization, and a cookie proves that this is the browser in which it
was started.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tiktok_accounts_gql.errors import InvalidInput, RequestError
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.callbacks import AuthorizationResult, Callback
from tiktok_accounts_gql.web import pages, responses
from tiktok_accounts_gql.web.browser_cookie import find_browser_secret
from tiktok_accounts_gql.web.middleware import client_address, request_id

_RESULT_PARAMETERS = ("accountId", "error")


async def callback(request: Request) -> Response:
    """Redirect to `returnTo` with `accountId` or `error`; without a `returnTo` show the result on a page."""
    if request.method == "HEAD":  # a link preview: it must not use up the `state`
        return Response(headers=pages.HEADERS, media_type=HTMLResponse.media_type)
    services: Services = request.state.services
    state, code, error = (pages.find_parameter(request, name) for name in ("state", "code", "error"))
    try:
        result = await services.authorizations.finish(
            Callback(state=state or "", code=code, error=error),
            browser=find_browser_secret(request, services.public_url),
            request_id=request_id(request),
            ip_address=client_address(request),
        )
    except InvalidInput as invalid:
        result = AuthorizationResult(return_to=None, error=invalid)
    except RequestError as failure:
        return responses.error_response(failure, request_id(request))
    return _result_page(result) if result.return_to is None else _redirect_back(result, result.return_to)


def _redirect_back(result: AuthorizationResult, return_to: str) -> Response:
    parts = urlsplit(return_to)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _RESULT_PARAMETERS]
    if result.connected is not None:
        query.append(("accountId", ids.encode(ids.NodeKind.ACCOUNT, result.connected.account.id)))
    else:
        query.append(("error", result.error.code.value if result.error else "INVALID_INPUT"))
    return RedirectResponse(urlunsplit(parts._replace(query=urlencode(query))), 303, headers=pages.HEADERS)


def _result_page(result: AuthorizationResult) -> Response:
    if result.connected is not None:
        text = f"{result.connected.account.display_name} is connected. You can close this page."
        return pages.message_page("Connected", text, pages.GREEN, 200)
    reason = result.error.message if result.error else ""
    text = f"{reason} You can close this page and go back to the app."
    return pages.message_page("Not connected", text, pages.RED, 400)
