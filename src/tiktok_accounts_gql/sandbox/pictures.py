"""Portraits of the sandbox's people, under links that are signed and expire as TikTok's do."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tiktok_accounts_gql.sandbox.portraits import portrait
from tiktok_accounts_gql.sandbox.state import Call, SandboxState
from tiktok_accounts_gql.sandbox.users import SECONDS_PER_DAY

SIZES: Mapping[str, int] = MappingProxyType({"avatar_url": 168, "avatar_url_100": 100, "avatar_large_url": 1080})
DAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """`key` signs the links, so that they outlive a restart."""

    key: bytes = field(repr=False)
    state: SandboxState

    def routes(self) -> list[Route]:
        return [Route("/sandbox/pictures/{union_id}/{size:int}.png", self._answer)]

    def links(self, base_url: str, union_id: str) -> dict[str, str]:
        """For user info. The same until the day ends; what stands before the query never changes."""
        return {name: base_url.rstrip("/") + self.link(union_id, size) for name, size in SIZES.items()}

    def link(self, union_id: str, size: int) -> str:
        path = f"/sandbox/pictures/{union_id}/{size}.png"
        expires = (int(self.state.clock()) // SECONDS_PER_DAY + DAYS) * SECONDS_PER_DAY
        return f"{path}?{urlencode({'x-expires': expires, 'x-signature': self._signature(path, str(expires))})}"

    async def _answer(self, request: Request) -> Response:
        response = self._picture(request)
        self.state.record(
            Call(
                time=self.state.clock(),
                path=request.url.path,
                kind=None,
                open_id=None,
                status=response.status_code,
                error=None,
            )
        )
        return response

    def _picture(self, request: Request) -> Response:
        size = request.path_params["size"]
        if size not in SIZES.values():
            return PlainTextResponse("There is no such size.", 404)
        if not self._is_valid(request):
            return PlainTextResponse("The link has expired, or its signature is wrong.", 403)
        return Response(portrait(request.path_params["union_id"], size), media_type="image/png")

    def _is_valid(self, request: Request) -> bool:
        expires = request.query_params.get("x-expires", "")
        signature = request.query_params.get("x-signature", "")
        if not hmac.compare_digest(signature.encode(), self._signature(request.url.path, expires).encode()):
            return False
        return int(expires) > self.state.clock()

    def _signature(self, path: str, expires: str) -> str:
        return base64.b64encode(hmac.digest(self.key, f"{path}?{expires}".encode(), "sha1")).decode()
