"""The sandbox's own API, below `/sandbox/`: recorded calls, faults, and what users do in TikTok.

Bodies are JSON, or the forms of the page; an invalid one is answered with 400 and what is wrong with it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox.control_bodies import Body, CallFilter, NewFault, NewRemoval, RemovedScopes
from tiktok_accounts_gql.sandbox.dashboard import render_dashboard
from tiktok_accounts_gql.sandbox.faults import ActiveFault, Faults
from tiktok_accounts_gql.sandbox.pages import create_html_response
from tiktok_accounts_gql.sandbox.state import SandboxGrant, SandboxState
from tiktok_accounts_gql.sandbox.webhooks import RemovalReason, RemovalWebhook, WebhookSender
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES

PAGE_PATH = "/sandbox/"
B = TypeVar("B", bound=Body)
Handler = Callable[[Request], Awaitable[tuple[object, int]]]


class GrantNotFound(Exception):
    """Raised where the path names an account without a grant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlApi:
    state: SandboxState
    faults: Faults
    webhooks: WebhookSender

    def routes(self) -> list[Route]:
        grant = "/sandbox/grants/{open_id}"
        return [
            Route(PAGE_PATH, self.show_page),
            _create_route("GET", "/sandbox/faults", self.list_faults),
            _create_route("POST", "/sandbox/faults", self.add_fault),
            _create_route("DELETE", "/sandbox/faults", self.clear_faults),
            _create_route("POST", "/sandbox/faults/clear", self.clear_faults),
            _create_route("GET", "/sandbox/calls", self.list_calls),
            _create_route("GET", "/sandbox/truth", self.count_calls),
            _create_route("GET", "/sandbox/grants", self.list_grants),
            _create_route("POST", f"{grant}/expire", self.expire),
            _create_route("POST", f"{grant}/revoke", self.revoke),
            _create_route("POST", f"{grant}/ban", self.ban),
            _create_route("POST", f"{grant}/remove-scopes", self.remove_scopes),
            _create_route("GET", "/sandbox/webhooks", self.list_webhooks),
            _create_route("POST", "/sandbox/webhooks", self.send_webhook),
        ]

    async def show_page(self, _: Request) -> Response:
        return create_html_response(render_dashboard(self.state, self.faults, self.webhooks))

    async def list_faults(self, _: Request) -> tuple[object, int]:
        return {"faults": [_to_json(active) for active in self.faults.list_active()]}, 200

    async def add_fault(self, request: Request) -> tuple[object, int]:
        self.faults.add((await _parse_body(request, NewFault)).to_fault())
        return _to_json(self.faults.list_active()[-1]), 201

    async def clear_faults(self, _: Request) -> tuple[object, int]:
        self.faults.clear()
        return {"faults": []}, 200

    async def list_calls(self, request: Request) -> tuple[object, int]:
        call_filter = CallFilter.model_validate(dict(request.query_params))
        return {"calls": [asdict(call) for call in self.state.list_calls(**call_filter.model_dump())]}, 200

    async def count_calls(self, request: Request) -> tuple[object, int]:
        open_id = request.query_params.get("open_id")
        counts = [account for account in self.state.count_calls() if open_id in (None, account.open_id)]
        return {"accounts": [asdict(account) for account in counts]}, 200

    async def list_grants(self, _: Request) -> tuple[object, int]:
        return {"grants": [_without_tokens(grant) for grant in self.state.list_grants()]}, 200

    async def expire(self, request: Request) -> tuple[object, int]:
        grant = self._get_grant(request)
        self.state.expire_access_token(grant.open_id)
        return _without_tokens(self._get_grant(request)), 200

    async def revoke(self, request: Request) -> tuple[object, int]:
        return await self._remove(NewRemoval(open_id=self._get_grant(request).open_id)), 200

    async def ban(self, request: Request) -> tuple[object, int]:
        open_id = self._get_grant(request).open_id
        return await self._remove(NewRemoval(open_id=open_id, reason=RemovalReason.BANNED)), 200

    async def remove_scopes(self, request: Request) -> tuple[object, int]:
        grant, removed = self._get_grant(request), await _parse_body(request, RemovedScopes)
        scopes = [scope for scope in FIELDS_OF_SCOPES if scope in grant.scope_set - set(removed.scopes)]
        self.state.set_scopes(grant.open_id, scopes or [BASIC_SCOPE])
        return _without_tokens(self._get_grant(request)), 200

    async def list_webhooks(self, _: Request) -> tuple[object, int]:
        deliveries = [asdict(delivery) for delivery in self.webhooks.deliveries]
        return {"url": self.webhooks.url, "deliveries": deliveries}, 200

    async def send_webhook(self, request: Request) -> tuple[object, int]:
        return await self._remove(await _parse_body(request, NewRemoval)), 200

    async def _remove(self, body: NewRemoval) -> dict[str, Any]:
        """End a grant, and then send the app its webhook: as at TikTok, tokens are invalid before the app knows it."""
        if not body.keep_grant:
            self.state.revoke_grant(body.open_id)
        created_at = int(self.state.clock()) - body.seconds_ago
        removal = RemovalWebhook(open_id=body.open_id, reason=body.reason, create_time=created_at)
        deliveries = [await self.webhooks.send(removal) for _ in range(body.repeat)]
        return {"deliveries": [asdict(delivery) for delivery in deliveries if delivery]}

    def _get_grant(self, request: Request) -> SandboxGrant:
        """Return the grant that the path names. Raises GrantNotFound."""
        grant = self.state.find_grant(request.path_params["open_id"])
        if grant is None:
            raise GrantNotFound
        return grant


def _create_route(method: str, path: str, handler: Handler) -> Route:
    return Route(path, partial(_respond, handler), methods=[method])


async def _respond(handler: Handler, request: Request) -> Response:
    """Answer a script with JSON, and a form of the page with a redirect back to the page."""
    try:
        body, status = await handler(request)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        errors = [{"field": ".".join(map(str, problem["loc"])), "message": problem["msg"]} for problem in problems]
        return JSONResponse({"errors": errors}, 400)
    except GrantNotFound:
        return JSONResponse({"errors": [{"field": "open_id", "message": "There is no such grant."}]}, 404)
    return RedirectResponse(PAGE_PATH, 303) if _is_form(request) else JSONResponse(body, status)


async def _parse_body(request: Request, model: type[B]) -> B:
    """Parse JSON or a form, of which empty fields are ignored. Raises ValidationError."""
    body = await request.body()
    if _is_form(request):
        return model.model_validate(dict(parse_qsl(body.decode())))
    return model.model_validate_json(body)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _to_json(active: ActiveFault) -> dict[str, Any]:
    fault = active.fault
    return {
        "kind": fault.kind,
        "path": fault.path,
        "open_id": fault.open_id,
        "share": fault.share,
        "seed": fault.seed,
        "left": active.remaining,
    }


def _without_tokens(grant: SandboxGrant) -> dict[str, Any]:
    return {
        "open_id": grant.open_id,
        "scopes": grant.scopes,
        "access_expires_at": grant.access_expires_at,
        "refresh_expires_at": grant.refresh_expires_at,
    }
