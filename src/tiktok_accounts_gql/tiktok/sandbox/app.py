"""A TikTok of our own, as strict as the real one: Login Kit's authorization, the token endpoints, user info."""

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.sandbox.faults import CutOff, Fault, Faults
from tiktok_accounts_gql.tiktok.sandbox.state import Call, Code, Grant, SandboxState
from tiktok_accounts_gql.tiktok.sandbox.users import SandboxUser
from tiktok_accounts_gql.tiktok.values import FIELDS_OF_SCOPES

AUTHORIZE_PATH = "/v2/auth/authorize/"
TWO_HOURS, HALF_A_YEAR = 7200, 15_552_000
_EXTRA_FIELDS = {"avatar_url_100": "user.info.basic", "avatar_large_url": "user.info.basic"}
_SCOPE_OF_FIELD = {**{name: scope for scope, names in FIELDS_OF_SCOPES.items() for name in names}, **_EXTRA_FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A call to the API, once its form is read."""

    path: str
    form: Mapping[str, str]
    query: Mapping[str, str]
    token: str

    @property
    def kind(self) -> str | None:
        return self.form.get("grant_type")


class Refused(Exception):
    """An error as TikTok names it."""

    def __init__(self, status: int, code: str, description: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.description, self.headers = status, code, description, headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """`state` tells tests the truth and lets them end grants; `faults` makes calls fail."""

    client_key: str
    client_secret: str = field(repr=False)
    state: SandboxState
    requests_per_minute: int
    faults: Faults = field(default_factory=Faults)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(AUTHORIZE_PATH, self.authorize),
                Route(TOKEN_PATH, self._endpoint(self._token), methods=["POST"]),
                Route(REVOKE_PATH, self._endpoint(self._revoke), methods=["POST"]),
                Route(USER_INFO_PATH, self._endpoint(self._user_info)),
            ]
        )

    async def authorize(self, request: Request) -> Response:
        """Consents at once for `sandbox_user`, to `sandbox_scopes` if given; `sandbox_deny=1` says no."""
        asked = request.query_params
        wrong = self._wrong_with(asked)
        if wrong:
            return JSONResponse({"error": "invalid_request", "error_description": wrong}, 400)
        state = {"state": asked["state"]}
        if asked.get("sandbox_deny"):
            denied = {"error": "access_denied", "error_description": "The user said no.", **state}
            return _redirect(asked["redirect_uri"], denied)
        scopes = asked.get("sandbox_scopes", asked["scope"])
        code = Code(
            open_id=asked["sandbox_user"],
            scopes=scopes,
            redirect_uri=asked["redirect_uri"],
            challenge=asked.get("code_challenge"),
        )
        return _redirect(asked["redirect_uri"], {"code": self.state.add_code(code), "scopes": scopes, **state})

    def _wrong_with(self, asked: Mapping[str, str]) -> str | None:
        missing = [
            name
            for name in ("client_key", "scope", "redirect_uri", "state", "response_type", "sandbox_user")
            if not asked.get(name)
        ]
        if missing:
            return f"missing: {', '.join(missing)}"
        if asked["client_key"] != self.client_key:
            return "client_key"
        if asked["response_type"] != "code":
            return "response_type"
        unknown = set(asked["scope"].split(",")) - FIELDS_OF_SCOPES.keys()
        return f"scope: {', '.join(sorted(unknown))}" if unknown else None

    def _endpoint(self, handle: Callable[[Ask], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        """Around each call: quota, faults, the envelope of errors, the record."""
        envelope = _open_api_error if handle == self._user_info else _oauth_error

        async def answer(request: Request) -> Response:
            ask = await _read(request)
            open_id = self._whose(ask)
            try:
                self._check_quota(ask)
                response = await self._failing(ask, open_id) or JSONResponse(handle(ask))
                error = None
            except Refused as refused:
                response, error = envelope(refused), refused.code
            self.state.record(
                Call(
                    time=self.state.clock(),
                    path=ask.path,
                    kind=ask.kind,
                    open_id=open_id,
                    status=response.status_code,
                    error=error,
                )
            )
            return response

        return answer

    def _check_quota(self, ask: Ask) -> None:
        if self.state.answered_lately(ask.path) >= self.requests_per_minute:
            raise Refused(429, "rate_limit_exceeded")

    async def _failing(self, ask: Ask, open_id: str | None) -> Response | None:
        fault = self.faults.take(ask.path, open_id)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay_seconds)
        return None if fault.passthrough else _broken(fault)

    def _whose(self, ask: Ask) -> str | None:
        grant = self.state.find_by_access_token(ask.token or ask.form.get("token", ""))
        grant = grant or self.state.find_by_refresh_token(ask.form.get("refresh_token", ""))
        return grant.open_id if grant else None

    def _token(self, ask: Ask) -> dict[str, Any]:
        self._check_client(ask)
        if ask.kind == "authorization_code":
            return self._granted(self._exchanged(ask))
        if ask.kind == "refresh_token":
            old = self.state.find_by_refresh_token(ask.form.get("refresh_token", ""))
            if old is None:
                raise Refused(400, "invalid_grant", "Refresh token is invalid or expired.")
            return self._granted(self.state.grant(old.open_id, old.scopes))
        raise Refused(400, "unsupported_grant_type", "grant_type")

    def _exchanged(self, ask: Ask) -> Grant:
        code = self.state.take_code(ask.form.get("code", ""))
        if code is None or code.redirect_uri != ask.form.get("redirect_uri"):
            raise Refused(400, "invalid_grant", "Authorization code is invalid, used or expired.")
        verifier = ask.form.get("code_verifier", "")
        if code.challenge is not None and sha256(verifier.encode()).hexdigest() != code.challenge:
            raise Refused(400, "invalid_grant", "Code verifier does not fit.")
        return self.state.grant(code.open_id, code.scopes)

    def _granted(self, grant: Grant) -> dict[str, Any]:
        now = self.state.clock()
        return {
            "access_token": grant.access_token,
            "expires_in": int(grant.access_expires_at - now),
            "open_id": grant.open_id,
            "refresh_expires_in": int(grant.refresh_expires_at - now),
            "refresh_token": grant.refresh_token,
            "scope": grant.scopes,
            "token_type": "Bearer",
        }

    def _revoke(self, ask: Ask) -> dict[str, Any]:
        self._check_client(ask)
        grant = self._valid(ask.form.get("token", ""))
        if grant is None:
            raise Refused(400, "invalid_grant", "Access token is invalid or expired.")
        self.state.revoke_grant(grant.open_id)
        return {}

    def _user_info(self, ask: Ask) -> dict[str, Any]:
        grant = self._valid(ask.token)
        if grant is None:
            raise Refused(401, "access_token_invalid", "The access token is invalid or not found in the request.")
        fields = list(filter(None, ask.query.get("fields", "").split(",")))
        if not fields or any(name not in _SCOPE_OF_FIELD for name in fields):
            raise Refused(400, "invalid_params", "fields")
        if any(_SCOPE_OF_FIELD[name] not in grant.scope_set for name in fields):
            raise Refused(400, "scope_permission_missed", "fields beyond the granted scopes")
        known = SandboxUser.of(grant.open_id).fields(self.state.clock())
        user = {name: known[name] for name in fields}
        return {"data": {"user": user}, "error": {"code": "ok", "message": "", "log_id": _log_id()}}

    def _valid(self, access_token: str) -> Grant | None:
        grant = self.state.find_by_access_token(access_token)
        return grant if grant and grant.access_expires_at > self.state.clock() else None

    def _check_client(self, ask: Ask) -> None:
        secret = ask.form.get("client_secret", "")
        if ask.form.get("client_key") != self.client_key or not hmac.compare_digest(
            secret.encode(), self.client_secret.encode()
        ):
            raise Refused(401, "invalid_client", "Client key or secret is incorrect.")


def create_sandbox(
    *,
    client_key: str,
    client_secret: str,
    path: Path | None = None,
    access_seconds: int = TWO_HOURS,
    refresh_seconds: int = HALF_A_YEAR,
    requests_per_minute: int = 600,
    clock: Callable[[], float] = time.time,
) -> Sandbox:
    """`path`: a file in which it remembers its grants; in memory without it. Limits are per endpoint."""
    state = SandboxState(path, access_seconds=access_seconds, refresh_seconds=refresh_seconds, clock=clock)
    return Sandbox(
        client_key=client_key, client_secret=client_secret, state=state, requests_per_minute=requests_per_minute
    )


async def _read(request: Request) -> Ask:
    form: Mapping[str, str] = {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl((await request.body()).decode("latin-1")))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return Ask(path=request.url.path, form=form, query=request.query_params, token=token if scheme == "Bearer" else "")


def _redirect(redirect_uri: str, parameters: Mapping[str, str]) -> Response:
    return RedirectResponse(f"{redirect_uri}?{urlencode(parameters)}", 302)


def _oauth_error(refused: Refused) -> Response:
    body = {"error": refused.code, "error_description": refused.description, "log_id": _log_id()}
    return JSONResponse(body, refused.status, refused.headers)


def _open_api_error(refused: Refused) -> Response:
    error = {"code": refused.code, "message": refused.description, "log_id": _log_id()}
    return JSONResponse({"data": {}, "error": error}, refused.status, refused.headers)


def _broken(fault: Fault) -> Response:
    if fault.drop:
        return CutOff()
    if fault.error is not None:
        raise Refused(fault.status, fault.error, headers=fault.headers)
    return Response(fault.body, fault.status, dict(fault.headers), media_type=fault.content_type)


def _log_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(8).upper()
