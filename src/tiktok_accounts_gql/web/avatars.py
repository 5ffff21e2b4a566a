"""Serves copies of profile pictures to `img` tags, without a token: only a viewer of the account was sent the link."""

import re

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.web import responses
from tiktok_accounts_gql.web.middleware import request_id

PATH = "/avatars/{account}/{content_hash}"
_HASH = re.compile(r"[0-9a-f]{1,64}")
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # a new picture gets a new link
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",  # pages of other sites show it
}


async def avatar(request: Request) -> Response:
    """Respond with the picture, with 304 if the client has it, and with 404 if no connected account has this link."""
    account, content_hash = ids.account_key(request.path_params["account"]), request.path_params["content_hash"]
    services: Services = request.state.services
    picture = await services.avatars.find(account, content_hash) if _HASH.fullmatch(content_hash) else None
    if picture is None:
        return responses.not_found_response(request_id(request))
    headers = {**_HEADERS, "ETag": f'"{content_hash}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(picture.content, headers=headers, media_type=picture.media_type)
