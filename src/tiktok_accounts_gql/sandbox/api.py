"""The endpoints that an app calls: tokens, revocation, user info. As strict as TikTok's pages say."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox.faults import Fault, Faults, Kind, fault_of
from tiktok_accounts_gql.sandbox.pictures import SIZES, Pictures
from tiktok_accounts_gql.sandbox.refusals import Refused, log_id, oauth_error, open_api_error
from tiktok_accounts_gql.sandbox.state import Call, Grant, SandboxState
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.sandbox.webhooks import Reason, Removal, Webhooks
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES

_SCOPE_OF_FIELD = {
    **{name: scope for scope, names in FIELDS_OF_SCOPES.items() for name in names},
    **dict.fromkeys(SIZES, BASIC_SCOPE),
}
_OVER_QUOTA = fault_of(Kind.RATE_LIMITED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A call to the API, once its form is read."""

    base_url: str
    path: str
    form: Mapping[str, str]
    query: Mapping[str, str]
    token: str

    @property
    def kind(self) -> str | None:
        return self.form.get("grant_type")

    @property
    def tokens(self) -> tuple[str, ...]:
        """Those that say whom it is about, an authorization code as well."""
        form = self.form
        return tuple(filter(None, (self.token, form.get("token"), form.get("refresh_token"), form.get("code"))))


Handle = Callable[[Ask], dict[str, Any]]
Envelope = Callable[[Refused], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Around each call: quota, faults, the envelope of errors, the record."""

    client_key: str
    client_secret: str = field(repr=False)
    state: SandboxState
    faults: Faults
    webhooks: Webhooks
    pictures: Pictures
    requests_per_minute: int

    def routes(self) -> list[Route]:
        return [
            Route(TOKEN_PATH, self._endpoint(self._token, oauth_error), methods=["POST"]),
            Route(REVOKE_PATH, self._endpoint(self._revoke, oauth_error), methods=["POST"]),
            Route(USER_INFO_PATH, self._endpoint(self._user_info, open_api_error)),
        ]

    def _endpoint(self, handle: Handle, envelope: Envelope) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            ask = await _read(request)
            open_id = self._whose(ask)
            fault = self.faults.take(ask.path, open_id) if self._has_quota(ask) else _OVER_QUOTA
            await asyncio.sleep(fault.delay_seconds)
            try:
                response, error = _replaced(fault) or (JSONResponse(handle(ask)), None)
            except Refused as refused:
                response, error = envelope(refused), refused.code
            self._record(ask, open_id, response.status_code, error)
            return fault.spoil(response)

        return answer

    def _record(self, ask: Ask, open_id: str | None, status: int, error: str | None) -> None:
        now = self.state.clock()
        self.state.record(Call(time=now, path=ask.path, kind=ask.kind, open_id=open_id, status=status, error=error))

    def _has_quota(self, ask: Ask) -> bool:
        return self.state.answered_lately(ask.path) < self.requests_per_minute

    def _whose(self, ask: Ask) -> str | None:
        return next(filter(None, map(self.state.whose, ask.tokens)), None)

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
            "expires_in": ceil(grant.access_expires_at - now),
            "open_id": grant.open_id,
            "refresh_expires_in": ceil(grant.refresh_expires_at - now),
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
        now = int(self.state.clock())
        self.webhooks.send_soon(Removal(open_id=grant.open_id, reason=Reason.REVOKED_BY_DEVELOPER, create_time=now))
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
        person = SandboxUser.of(grant.open_id)
        known = person.fields(self.state.clock()) | self.pictures.links(ask.base_url, person.union_id)
        user = {name: known[name] for name in fields}
        return {"data": {"user": user}, "error": {"code": "ok", "message": "", "log_id": log_id()}}

    def _valid(self, access_token: str) -> Grant | None:
        grant = self.state.find_by_access_token(access_token)
        return grant if grant and grant.access_expires_at > self.state.clock() else None

    def _check_client(self, ask: Ask) -> None:
        secret = ask.form.get("client_secret", "")
        if ask.form.get("client_key") != self.client_key or not hmac.compare_digest(
            secret.encode(), self.client_secret.encode()
        ):
            raise Refused(401, "invalid_client", "Client key or secret is incorrect.")


def _replaced(fault: Fault) -> tuple[Response, str | None] | None:
    """What comes in place of the call; None if it is carried out."""
    return None if fault.carried_out else (fault.reply(), fault.kind)


async def _read(request: Request) -> Ask:
    form: Mapping[str, str] = {}
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl((await request.body()).decode("latin-1")))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return Ask(
        base_url=str(request.base_url),
        path=request.url.path,
        form=form,
        query=request.query_params,
        token=token if scheme == "Bearer" else "",
    )
