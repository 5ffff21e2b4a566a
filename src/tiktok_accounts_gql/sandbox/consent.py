"""Login Kit's consent page: a user, their scopes, allow or deny.

The page's form requests the same URL that tests request: `sandbox_user` consents, `sandbox_scopes` are what is granted,
`sandbox_deny` denies. Without any of them the page is shown: the sandbox never reconnects anybody silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox.consent_page import UserOption, render_consent_page, render_error_page
from tiktok_accounts_gql.sandbox.pages import create_html_response
from tiktok_accounts_gql.sandbox.state import AuthorizationCode, SandboxState
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES

AUTHORIZE_PATH = "/v2/auth/authorize/"
_REQUIRED = ("client_key", "scope", "redirect_uri", "state", "response_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEndpoint:
    """The endpoint of the consent page. `open_ids`: the users that the page offers."""

    client_key: str
    state: SandboxState
    open_ids: Sequence[str]

    def routes(self) -> list[Route]:
        return [Route(AUTHORIZE_PATH, self._authorize)]

    async def _authorize(self, request: Request) -> Response:
        parameters = request.query_params
        if error := self._find_error(parameters):
            if "text/html" in request.headers.get("accept", ""):
                return create_html_response(render_error_page(error), 400)
            return JSONResponse({"error": "invalid_request", "error_description": error}, 400)
        if parameters.get("sandbox_deny"):
            return _redirect(parameters, error="access_denied", error_description="The user denied access.")
        if parameters.get("sandbox_user"):
            scopes = ",".join(parameters.getlist("sandbox_scopes")) or parameters["scope"]
            code = AuthorizationCode(
                open_id=parameters["sandbox_user"],
                scopes=scopes,
                redirect_uri=parameters["redirect_uri"],
                challenge=parameters.get("code_challenge"),
            )
            return _redirect(parameters, code=self.state.add_code(code), scopes=scopes)
        options = [
            UserOption(user=user, is_connected=self.state.find_grant(user.open_id) is not None)
            for user in map(SandboxUser.of, self.open_ids)
        ]
        return create_html_response(render_consent_page(parameters, options))

    def _find_error(self, parameters: QueryParams) -> str | None:
        missing = [name for name in _REQUIRED if not parameters.get(name)]
        if missing:
            return f"missing: {', '.join(missing)}"
        if parameters["client_key"] != self.client_key:
            return "client_key"
        if parameters["response_type"] != "code":
            return "response_type"
        unknown = set(parameters["scope"].split(",")) - FIELDS_OF_SCOPES.keys()
        return f"scope: {', '.join(sorted(unknown))}" if unknown else None


def _redirect(parameters: QueryParams, **added: str) -> Response:
    """Send the browser back to the app."""
    query = urlencode(added | {"state": parameters["state"]})
    return RedirectResponse(f"{parameters['redirect_uri']}?{query}", 302)
