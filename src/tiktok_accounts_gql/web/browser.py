"""A browser's secret: a cookie, so that who comes back from TikTok is known to be who went there.

The callback is a navigation that another site begins, by GET: `SameSite=Lax` lets the cookie come along there, and keeps it
from everything else that other sites begin. `__Host-` keeps servers of neighbouring names from setting it. One cookie serves
all attempts of a browser; the database has a hash of it for each.
"""

import re

from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.services.authorizations import ATTEMPT_LIFETIME

NAME = "tiktok-accounts-browser"
_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


def cookie_name(public_url: str) -> str:
    """A browser takes the prefix only with `Secure`, so by https only."""
    return f"__Host-{NAME}" if _is_secure(public_url) else NAME


def find_browser(request: Request, public_url: str) -> str | None:
    """The browser's secret; None if it has none, or one that is none of ours."""
    value = request.cookies.get(cookie_name(public_url), "")
    return value if _SECRET.fullmatch(value) else None


def keep_browser(response: Response, public_url: str, browser: str) -> None:
    """For as long as an authorization may take."""
    response.set_cookie(
        cookie_name(public_url),
        browser,
        max_age=int(ATTEMPT_LIFETIME.total_seconds()),
        path="/",
        secure=_is_secure(public_url),
        httponly=True,
        samesite="lax",
    )


def _is_secure(public_url: str) -> bool:
    return public_url.startswith("https://")
