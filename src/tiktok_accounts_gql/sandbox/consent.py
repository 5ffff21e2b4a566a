"""Login Kit's consent page: a person, their scopes, yes or no.

The page's form asks for the same link that tests ask for: `sandbox_user` consents, `sandbox_scopes` are what is granted,
`sandbox_deny` says no. Without any of them the page is shown: nobody is ever reconnected silently here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox import pages
from tiktok_accounts_gql.sandbox.consent_page import Person, consent_page, wrong_page
from tiktok_accounts_gql.sandbox.state import Code, SandboxState
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES

AUTHORIZE_PATH = "/v2/auth/authorize/"
_NEEDED = ("client_key", "scope", "redirect_uri", "state", "response_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """`people`: open ids of those whom the page offers."""

    client_key: str
    state: SandboxState
    people: Sequence[str]

    def routes(self) -> list[Route]:
        return [Route(AUTHORIZE_PATH, self._authorize)]

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        if wrong := self._wrong_with(asked):
            return _refusal(request, wrong)
        if asked.get("sandbox_deny"):
            return _back(asked, {"error": "access_denied", "error_description": "The user said no."})
        if asked.get("sandbox_user"):
            return self._consented(asked)
        return pages.respond(consent_page(asked, self._offered()))

    def _consented(self, asked: QueryParams) -> Response:
        scopes = ",".join(asked.getlist("sandbox_scopes")) or asked["scope"]
        code = Code(
            open_id=asked["sandbox_user"],
            scopes=scopes,
            redirect_uri=asked["redirect_uri"],
            challenge=asked.get("code_challenge"),
        )
        return _back(asked, {"code": self.state.add_code(code), "scopes": scopes})

    def _offered(self) -> list[Person]:
        return [
            Person(user=user, connected=self.state.find(user.open_id) is not None)
            for user in map(SandboxUser.of, self.people)
        ]

    def _wrong_with(self, asked: QueryParams) -> str | None:
        missing = [name for name in _NEEDED if not asked.get(name)]
        if missing:
            return f"missing: {', '.join(missing)}"
        if asked["client_key"] != self.client_key:
            return "client_key"
        if asked["response_type"] != "code":
            return "response_type"
        unknown = set(asked["scope"].split(",")) - FIELDS_OF_SCOPES.keys()
        return f"scope: {', '.join(sorted(unknown))}" if unknown else None


def _refusal(request: Request, wrong: str) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return pages.respond(wrong_page(wrong), 400)
    return JSONResponse({"error": "invalid_request", "error_description": wrong}, 400)


def _back(asked: QueryParams, brought: dict[str, str]) -> Response:
    return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(brought | {'state': asked['state']})}", 302)
