"""The cookie that binds an authorization to the browser in which it was started.

TikTok's redirect to the callback is a top-level navigation by GET from another site. `SameSite=Lax` sends the cookie there and
with no other request that another site makes. `__Host-` keeps other hosts of the same domain from setting it. One cookie serves
all authorizations of a browser; the database stores a hash of it with each.
"""

import re

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.services.authorizations import ATTEMPT_LIFETIME

NAME = "tiktok-accounts-browser"
_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


def cookie_name(public_url: str) -> str:
    """Return the name, with the prefix `__Host-` by https only: browsers accept it only with `Secure`."""
    return f"__Host-{NAME}" if _is_secure(public_url) else NAME


def find_browser_secret(request: Request, public_url: str) -> str | None:
    """Return the secret in the cookie; None if there is none, or one that this server did not set."""
    value = request.cookies.get(cookie_name(public_url), "")
    return value if _SECRET.fullmatch(value) else None


def set_browser_cookie(response: Response, public_url: str, secret: str) -> None:
    """Set the cookie for as long as an authorization may take."""
    response.set_cookie(
        cookie_name(public_url),
        secret,
        max_age=int(ATTEMPT_LIFETIME.total_seconds()),
        path="/",
        secure=_is_secure(public_url),
        httponly=True,
        samesite="lax",
    )


def _is_secure(public_url: str) -> bool:
    return public_url.startswith("https://")
