"""Where TikTok sends the browser back to. No token comes with it: the `state` says whose authorization it is."""

from html import escape
from string import Template
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tiktok_accounts_gql.errors import InvalidInput, RequestError
from tiktok_accounts_gql.http import answers
from tiktok_accounts_gql.http.edge import client_address, request_id
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.services.callbacks import Callback, Finished

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Security-Policy": _POLICY}
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
body { font: 18px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 18vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h1::before { content: ""; display: block; width: 3rem; height: .4rem; margin-bottom: 1rem; border-radius: .2rem;
  background: $colour; }
p { margin: 0; opacity: .8; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$text</p>
</body>
</html>
"""
)


async def callback(request: Request) -> Response:
    """Back to `returnTo` with `accountId` or `error`; without one, a page that says what happened."""
    if request.method == "HEAD":  # somebody looks whether the link works: the state is for who follows it
        return Response(headers=_HEADERS, media_type=HTMLResponse.media_type)
    services: Services = request.state.services
    address = client_address(request)
    state, code, error = (_only(request, name) for name in ("state", "code", "error"))
    told = Callback(state=state or "", code=code, error=error)
    try:
        finished = await services.authorizations.finish(told, request_id=request_id(request), ip_address=address)
    except InvalidInput as mistake:
        finished = Finished(return_to=None, mistake=mistake)
    except RequestError as error:
        return answers.refusal(error, request_id(request))
    return _page(finished) if finished.return_to is None else _back(finished, finished.return_to)


def _only(request: Request, name: str) -> str | None:
    """None for a parameter that is absent or empty, or has several values (RFC 6749, section 3.1)."""
    values = {value for value in request.query_params.getlist(name) if value}
    return values.pop() if len(values) == 1 else None


def _back(finished: Finished, return_to: str) -> Response:
    parts = urlsplit(return_to)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("accountId", "error")]
    query += _outcome(finished).items()
    return RedirectResponse(urlunsplit(parts._replace(query=urlencode(query))), 303, headers=_HEADERS)


def _outcome(finished: Finished) -> dict[str, str]:
    if finished.connected is not None:
        return {"accountId": ids.encode(ids.Kind.ACCOUNT, finished.connected.account.id)}
    return {"error": finished.mistake.code.value if finished.mistake else "INVALID_INPUT"}


def _page(finished: Finished) -> Response:
    if finished.connected is not None:
        text = f"{finished.connected.account.display_name} is connected. You can close this page."
        return _html("Connected", text, "#2f9e5f", 200)
    why = finished.mistake.message if finished.mistake else ""
    return _html("Not connected", f"{why} You can close this page and go back to the app.", "#fe2c55", 400)


def _html(title: str, text: str, colour: str, status: int) -> Response:
    return HTMLResponse(_PAGE.substitute(title=title, text=escape(text), colour=colour), status, headers=_HEADERS)
