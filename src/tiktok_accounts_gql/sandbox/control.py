"""The sandbox's own API, below `/sandbox/`: what it saw, what shall go wrong, what people do in TikTok.

Bodies are JSON, or the forms of the page; what is wrong with one is told with 400.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox import pages
from tiktok_accounts_gql.sandbox.altered import Alteration
from tiktok_accounts_gql.sandbox.dashboard import dashboard
from tiktok_accounts_gql.sandbox.faults import Fault, Faults, Kind, Waiting, fault_of
from tiktok_accounts_gql.sandbox.state import Grant, SandboxState
from tiktok_accounts_gql.sandbox.webhooks import Reason, Removal, Webhooks
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES

PAGE_PATH = "/sandbox/"
M = TypeVar("M", bound="Body")
Handler = Callable[[Request], Awaitable[tuple[object, int]]]
Scope = Literal["user.info.profile", "user.info.stats"]


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


class Body(BaseModel):
    """Nothing but what is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _base64(value: str) -> str:
    base64.b64decode(value, validate=True)  # raises a ValueError
    return value


def _header(value: str) -> str:
    value.encode("latin-1")  # raises a ValueError
    if any(char in value for char in "\r\n\0"):
        raise ValueError("A header is one line.")
    return value


Header = Annotated[str, AfterValidator(_header)]


class NewFault(Body):
    """Without `path`, `open_id` and `times`: all calls until it is cleared. The last ones are those of `altered`."""

    kind: Kind
    path: Literal["/v2/oauth/token/", "/v2/oauth/revoke/", "/v2/user/info/"] | None = None
    open_id: str | None = None
    times: int | None = Field(None, ge=1)
    share: float = Field(1, gt=0, le=1)
    seed: int = 0
    status: int | None = Field(None, ge=200, le=599)
    retry_after: int | None = Field(None, ge=0)
    seconds: float | None = Field(None, gt=0, le=600)
    fields: dict[str, Any] = {}
    raw: dict[str, str] = {}
    remove: tuple[str, ...] = ()
    headers: dict[Header, Header] = {}
    body: str | None = None
    body_base64: Annotated[str, AfterValidator(_base64)] | None = None

    def fault(self) -> Fault:
        names = {"fields", "raw", "remove", "headers", "body", "body_base64", "status"}
        made = fault_of(
            self.kind,
            status=self.status,
            seconds=self.seconds,
            retry_after=self.retry_after,
            alteration=Alteration(**self.model_dump(include=names)),
        )
        return replace(
            made, kind=self.kind.value, **self.model_dump(include={"path", "open_id", "times", "share", "seed"})
        )


class NewRemoval(Body):
    """`seconds_ago`: a late one. `keep_grant`: it is about an earlier grant. `repeat`: it arrives so often."""

    open_id: str = Field(min_length=1)
    reason: Reason = Reason.DISCONNECTED_BY_USER
    seconds_ago: int = Field(0, ge=0)
    keep_grant: bool = False
    repeat: int = Field(1, ge=1, le=100)


class RemovedScopes(Body):
    scopes: Annotated[tuple[Scope, ...], BeforeValidator(_split)] = Field(min_length=1)


class CallFilter(Body):
    """`since`: seconds since 1970. `limit`: the last ones."""

    path: str | None = None
    open_id: str | None = None
    kind: str | None = None
    since: float = 0
    limit: int = Field(-1, ge=-1)


class UnknownGrant(Exception):
    """There is no such grant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    state: SandboxState
    faults: Faults
    webhooks: Webhooks

    def routes(self) -> list[Route]:
        grant = "/sandbox/grants/{open_id}"
        return [
            Route(PAGE_PATH, self._page),
            _route("GET", "/sandbox/faults", self._list_faults),
            _route("POST", "/sandbox/faults", self._add_fault),
            _route("DELETE", "/sandbox/faults", self._clear_faults),
            _route("POST", "/sandbox/faults/clear", self._clear_faults),
            _route("GET", "/sandbox/calls", self._list_calls),
            _route("GET", "/sandbox/truth", self._truth),
            _route("GET", "/sandbox/grants", self._list_grants),
            _route("POST", f"{grant}/expire", self._expire),
            _route("POST", f"{grant}/revoke", self._revoke),
            _route("POST", f"{grant}/ban", self._ban),
            _route("POST", f"{grant}/remove-scopes", self._remove_scopes),
            _route("GET", "/sandbox/webhooks", self._list_webhooks),
            _route("POST", "/sandbox/webhooks", self._send_webhook),
        ]

    async def _page(self, request: Request) -> Response:
        del request
        return pages.respond(dashboard(self.state, self.faults, self.webhooks))

    async def _list_faults(self, request: Request) -> tuple[object, int]:
        del request
        return {"faults": [_told(waiting) for waiting in self.faults.list_waiting()]}, 200

    async def _add_fault(self, request: Request) -> tuple[object, int]:
        self.faults.add((await _body(request, NewFault)).fault())
        return _told(self.faults.list_waiting()[-1]), 201

    async def _clear_faults(self, request: Request) -> tuple[object, int]:
        del request
        self.faults.clear()
        return {"faults": []}, 200

    async def _list_calls(self, request: Request) -> tuple[object, int]:
        wanted = CallFilter.model_validate(dict(request.query_params))
        return {"calls": [asdict(call) for call in self.state.calls(**wanted.model_dump())]}, 200

    async def _truth(self, request: Request) -> tuple[object, int]:
        only = request.query_params.get("open_id")
        return {"accounts": [asdict(truth) for truth in self.state.truth() if only in (None, truth.open_id)]}, 200

    async def _list_grants(self, request: Request) -> tuple[object, int]:
        del request
        return {"grants": [_without_tokens(grant) for grant in self.state.grants()]}, 200

    async def _expire(self, request: Request) -> tuple[object, int]:
        grant = self._grant(request)
        self.state.expire_access_token(grant.open_id)
        return _without_tokens(self._grant(request)), 200

    async def _revoke(self, request: Request) -> tuple[object, int]:
        return await self._end(NewRemoval(open_id=self._grant(request).open_id)), 200

    async def _ban(self, request: Request) -> tuple[object, int]:
        return await self._end(NewRemoval(open_id=self._grant(request).open_id, reason=Reason.BANNED)), 200

    async def _remove_scopes(self, request: Request) -> tuple[object, int]:
        grant, removed = self._grant(request), await _body(request, RemovedScopes)
        kept = [scope for scope in FIELDS_OF_SCOPES if scope in grant.scope_set - set(removed.scopes)]
        self.state.keep_scopes(grant.open_id, kept or [BASIC_SCOPE])
        return _without_tokens(self._grant(request)), 200

    async def _list_webhooks(self, request: Request) -> tuple[object, int]:
        del request
        return {
            "url": self.webhooks.url,
            "deliveries": [asdict(delivery) for delivery in self.webhooks.deliveries],
        }, 200

    async def _send_webhook(self, request: Request) -> tuple[object, int]:
        return await self._end(await _body(request, NewRemoval)), 200

    async def _end(self, asked: NewRemoval) -> dict[str, Any]:
        """The grant is dead when the app hears of it."""
        if not asked.keep_grant:
            self.state.revoke_grant(asked.open_id)
        created = int(self.state.clock()) - asked.seconds_ago
        removal = Removal(open_id=asked.open_id, reason=asked.reason, create_time=created)
        sent = [await self.webhooks.send(removal) for _ in range(asked.repeat)]
        return {"deliveries": [asdict(delivery) for delivery in sent if delivery]}

    def _grant(self, request: Request) -> Grant:
        found = self.state.find(request.path_params["open_id"])
        if found is None:
            raise UnknownGrant
        return found


def _route(method: str, path: str, handle: Handler) -> Route:
    async def answer(request: Request) -> Response:
        try:
            told, status = await handle(request)
        except ValidationError as error:
            return JSONResponse({"errors": _problems(error)}, 400)
        except UnknownGrant:
            return JSONResponse({"errors": [{"field": "open_id", "message": "There is no such grant."}]}, 404)
        return RedirectResponse(PAGE_PATH, 303) if _is_form(request) else JSONResponse(told, status)

    return Route(path, answer, methods=[method])


def _problems(error: ValidationError) -> list[dict[str, str]]:
    return [
        {"field": ".".join(map(str, problem["loc"])), "message": problem["msg"]}
        for problem in error.errors(include_url=False, include_input=False)
    ]


async def _body(request: Request, model: type[M]) -> M:
    """What a form leaves empty is not given."""
    body = await request.body()
    if _is_form(request):
        return model.model_validate(dict(parse_qsl(body.decode())))
    return model.model_validate_json(body)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _told(waiting: Waiting) -> dict[str, Any]:
    fault = waiting.fault
    told = {name: getattr(fault, name) for name in ("kind", "path", "open_id", "share", "seed")}
    return told | {"left": waiting.left}


def _without_tokens(grant: Grant) -> Mapping[str, Any]:
    names = ("open_id", "scopes", "access_expires_at", "refresh_expires_at")
    return {name: getattr(grant, name) for name in names}
