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

from tiktok_accounts_gql.sandbox.portraits import render_portrait
from tiktok_accounts_gql.sandbox.state import RecordedCall, SandboxState
from tiktok_accounts_gql.sandbox.users import SECONDS_PER_DAY

AVATAR_SIZES: Mapping[str, int] = MappingProxyType({"avatar_url": 168, "avatar_url_100": 100, "avatar_large_url": 1080})
LINK_DAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEndpoint:
    """Serves the pictures. `key` signs the links, and is the same after a restart."""

    key: bytes = field(repr=False)
    state: SandboxState

    def routes(self) -> list[Route]:
        return [Route("/sandbox/pictures/{union_id}/{size:int}.png", self._respond)]

    def create_links(self, base_url: str, union_id: str) -> dict[str, str]:
        """Return the links in user info. Their signatures change every day; the rest of a link never changes."""
        expires = (int(self.state.clock()) // SECONDS_PER_DAY + LINK_DAYS) * SECONDS_PER_DAY
        links = {}
        for name, size in AVATAR_SIZES.items():
            path = f"/sandbox/pictures/{union_id}/{size}.png"
            query = urlencode({"x-expires": expires, "x-signature": self._sign(path, str(expires))})
            links[name] = f"{base_url.rstrip('/')}{path}?{query}"
        return links

    async def _respond(self, request: Request) -> Response:
        response = self._create_response(request)
        self.state.record_call(
            RecordedCall(
                time=self.state.clock(),
                path=request.url.path,
                kind=None,
                open_id=None,
                status=response.status_code,
                error=None,
            )
        )
        return response

    def _create_response(self, request: Request) -> Response:
        size = request.path_params["size"]
        if size not in AVATAR_SIZES.values():
            return PlainTextResponse("There is no such size.", 404)
        expires = request.query_params.get("x-expires", "")
        signature = request.query_params.get("x-signature", "")
        is_signed = hmac.compare_digest(signature.encode(), self._sign(request.url.path, expires).encode())
        if not is_signed or int(expires) <= self.state.clock():
            return PlainTextResponse("The link has expired, or its signature is wrong.", 403)
        return Response(render_portrait(request.path_params["union_id"], size), media_type="image/png")

    def _sign(self, path: str, expires: str) -> str:
        return base64.b64encode(hmac.digest(self.key, f"{path}?{expires}".encode(), "sha1")).decode()
