"""The endpoints that an app calls: tokens, revocation, user info. As strict as TikTok's pages say."""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from math import ceil
from typing import Any, Self
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox.errors import ApiError, create_log_id, to_oauth_response, to_open_api_response
from tiktok_accounts_gql.sandbox.faults import FaultKind, Faults, create_fault
from tiktok_accounts_gql.sandbox.pictures import AVATAR_SIZES, PictureEndpoint
from tiktok_accounts_gql.sandbox.state import RecordedCall, SandboxGrant, SandboxState
from tiktok_accounts_gql.sandbox.users import SandboxUser
from tiktok_accounts_gql.sandbox.webhooks import RemovalReason, RemovalWebhook, WebhookSender
from tiktok_accounts_gql.tiktok.client import REVOKE_PATH, TOKEN_PATH, USER_INFO_PATH
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES

_SCOPE_OF_FIELD = {
    **{name: scope for scope, names in FIELDS_OF_SCOPES.items() for name in names},
    **dict.fromkeys(AVATAR_SIZES, BASIC_SCOPE),
}
_OVER_QUOTA = create_fault(FaultKind.RATE_LIMITED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """A parsed request to the API. `token`: the bearer token, or an empty text."""

    base_url: str
    path: str
    form: Mapping[str, str]
    query: Mapping[str, str]
    token: str

    @classmethod
    async def parse(cls, request: Request) -> Self:
        form: Mapping[str, str] = {}
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl((await request.body()).decode("latin-1")))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return cls(
            base_url=str(request.base_url),
            path=request.url.path,
            form=form,
            query=request.query_params,
            token=token if scheme == "Bearer" else "",
        )

    @property
    def grant_type(self) -> str | None:
        return self.form.get("grant_type")

    @property
    def credentials(self) -> tuple[str, ...]:
        """Tokens and authorization codes, each of which says which account the call is about."""
        form = self.form
        return tuple(filter(None, (self.token, form.get("token"), form.get("refresh_token"), form.get("code"))))


Handler = Callable[[ApiCall], dict[str, Any]]
ErrorFormat = Callable[[ApiError], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """TikTok's API. Every call is counted against its quota, may meet a fault, and is recorded."""

    client_key: str
    client_secret: str = field(repr=False)
    state: SandboxState
    faults: Faults
    webhooks: WebhookSender
    pictures: PictureEndpoint
    requests_per_minute: int

    def routes(self) -> list[Route]:
        return [
            Route(TOKEN_PATH, partial(self._respond, self._grant_tokens, to_oauth_response), methods=["POST"]),
            Route(REVOKE_PATH, partial(self._respond, self._revoke, to_oauth_response), methods=["POST"]),
            Route(USER_INFO_PATH, partial(self._respond, self._get_user_info, to_open_api_response)),
        ]

    async def _respond(self, handler: Handler, to_response: ErrorFormat, request: Request) -> Response:
        call = await ApiCall.parse(request)
        open_id = next(filter(None, map(self.state.find_open_id, call.credentials)), None)
        has_quota = self.state.count_answered(call.path) < self.requests_per_minute
        fault = self.faults.take(call.path, open_id) if has_quota else _OVER_QUOTA
        await asyncio.sleep(fault.delay_seconds)
        error_code: str | None = None
        try:
            if fault.is_call_executed:
                response: Response = JSONResponse(handler(call))
            else:
                response, error_code = fault.create_response(), fault.kind
        except ApiError as error:
            response, error_code = to_response(error), error.code
        self.state.record_call(
            RecordedCall(
                time=self.state.clock(),
                path=call.path,
                kind=call.grant_type,
                open_id=open_id,
                status=response.status_code,
                error=error_code,
            )
        )
        return fault.alter_response(response)

    def _grant_tokens(self, call: ApiCall) -> dict[str, Any]:
        self._check_client(call)
        if call.grant_type == "authorization_code":
            return self._to_token_body(self._exchange_code(call))
        if call.grant_type == "refresh_token":
            grant = self.state.find_by_refresh_token(call.form.get("refresh_token", ""))
            if grant is None:
                raise ApiError(400, "invalid_grant", "Refresh token is invalid or expired.")
            return self._to_token_body(self.state.create_grant(grant.open_id, grant.scopes))
        raise ApiError(400, "unsupported_grant_type", "grant_type")

    def _exchange_code(self, call: ApiCall) -> SandboxGrant:
        code = self.state.take_code(call.form.get("code", ""))
        if code is None or code.redirect_uri != call.form.get("redirect_uri"):
            raise ApiError(400, "invalid_grant", "Authorization code is invalid, used or expired.")
        verifier = call.form.get("code_verifier", "")
        if code.challenge is not None and sha256(verifier.encode()).hexdigest() != code.challenge:
            raise ApiError(400, "invalid_grant", "Code verifier does not fit.")
        return self.state.create_grant(code.open_id, code.scopes)

    def _to_token_body(self, grant: SandboxGrant) -> dict[str, Any]:
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

    def _revoke(self, call: ApiCall) -> dict[str, Any]:
        self._check_client(call)
        grant = self._find_valid_grant(call.form.get("token", ""))
        if grant is None:
            raise ApiError(400, "invalid_grant", "Access token is invalid or expired.")
        self.state.revoke_grant(grant.open_id)
        self.webhooks.send_in_background(
            RemovalWebhook(
                open_id=grant.open_id,
                reason=RemovalReason.REVOKED_BY_DEVELOPER,
                create_time=int(self.state.clock()),
            )
        )
        return {}

    def _get_user_info(self, call: ApiCall) -> dict[str, Any]:
        grant = self._find_valid_grant(call.token)
        if grant is None:
            raise ApiError(401, "access_token_invalid", "The access token is invalid or not found in the request.")
        names = list(filter(None, call.query.get("fields", "").split(",")))
        if not names or any(name not in _SCOPE_OF_FIELD for name in names):
            raise ApiError(400, "invalid_params", "fields")
        if any(_SCOPE_OF_FIELD[name] not in grant.scope_set for name in names):
            raise ApiError(400, "scope_permission_missed", "fields beyond the granted scopes")
        user = SandboxUser.of(grant.open_id)
        fields = user.fields_at(self.state.clock()) | self.pictures.create_links(call.base_url, user.union_id)
        return {
            "data": {"user": {name: fields[name] for name in names}},
            "error": {"code": "ok", "message": "", "log_id": create_log_id()},
        }

    def _find_valid_grant(self, access_token: str) -> SandboxGrant | None:
        grant = self.state.find_by_access_token(access_token)
        return grant if grant and grant.access_expires_at > self.state.clock() else None

    def _check_client(self, call: ApiCall) -> None:
        """Raise ApiError unless the call has the client key and its secret."""
        secret = call.form.get("client_secret", "")
        is_secret = hmac.compare_digest(secret.encode(), self.client_secret.encode())
        if call.form.get("client_key") != self.client_key or not is_secret:
            raise ApiError(401, "invalid_client", "Client key or secret is incorrect.")
