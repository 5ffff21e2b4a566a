"""Copies of pictures, for `img` tags: without a token, under a link that only those know who were shown the account."""

import re

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.services.bundle import Services
from tiktok_accounts_gql.web import answers
from tiktok_accounts_gql.web.edge import request_id

PATH = "/avatars/{account}/{content_hash}"
_HASH = re.compile(r"[0-9a-f]{1,64}")
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # another picture has another link
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",  # the app that shows it is another site
}


async def avatar(request: Request) -> Response:
    """200 with the picture, 304 if the client has it, 404 for anything that is no link of a connected account."""
    account, content_hash = ids.account_key(request.path_params["account"]), request.path_params["content_hash"]
    services: Services = request.state.services
    found = await services.avatars.find(account, content_hash) if _HASH.fullmatch(content_hash) else None
    if found is None:
        return answers.not_found(request_id(request))
    headers = {**_HEADERS, "ETag": f'"{content_hash}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)
