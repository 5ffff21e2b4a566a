"""The start page, which the user sees before TikTok's consent page.

It names the viewer for whom an account will be connected, and binds the attempt to the browser in which the user continues.
Showing it changes nothing, because chat apps and browsers fetch links on their own. The first browser that continues is
bound to the attempt, and no other one can continue from then on.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import connection_attempts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import ConnectionAttempt
from tiktok_accounts_gql.errors import AuthorizationStateExpired, AuthorizationStateInvalid
from tiktok_accounts_gql.services.authorizations import (
    ATTEMPT_LIFETIME,
    MAX_CLOCK_SKEW,
    OTHER_BROWSER,
    hash_state,
    is_bound_to,
)
from tiktok_accounts_gql.services.login_kit import LoginKit, open_code_verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPage:
    """What the page shows. `viewer_name` is None if the viewer's token has no name; `app` is a host name."""

    viewer_id: str
    viewer_name: str | None
    app: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPages:
    """Shows start pages, and continues from there to TikTok."""

    db: Database
    sealer: Sealer
    login_kit: LoginKit
    clock: Clock

    @property
    def consent_page(self) -> str:
        """Return the URL of TikTok's consent page, without parameters."""
        return self.login_kit.authorize_url

    async def get(self, state: str, browser: str | None) -> StartPage:
        """Return the page of an attempt. `browser` is the secret in the browser's cookie, if it has one.

        Raises AuthorizationStateInvalid, also if the attempt is bound to another browser, and AuthorizationStateExpired.
        """
        attempt = await self._get_attempt(state)
        if attempt.browser_hash is not None and not is_bound_to(attempt, browser):
            raise AuthorizationStateInvalid(OTHER_BROWSER)
        app = urlsplit(attempt.return_to or self.login_kit.start_url).hostname or ""
        return StartPage(viewer_id=attempt.viewer_id, viewer_name=attempt.viewer_name, app=app)

    async def confirm(self, state: str, browser: str) -> str:
        """Bind the attempt to this browser, and return the URL of TikTok's consent page. Raises as `get` does."""
        attempt, now = await self._get_attempt(state), self.clock()
        url = self.login_kit.build_consent_url(state, open_code_verifier(self.sealer, attempt))
        async with self.db.transaction() as session:
            is_bound = await connection_attempts.bind_browser(
                session,
                attempt.viewer_id,
                attempt.id,
                browser_hash=connection_attempts.hash_browser(attempt.id, browser),
                now=now,
                lifetime=ATTEMPT_LIFETIME + MAX_CLOCK_SKEW,
            )
        if not is_bound:
            raise AuthorizationStateInvalid(OTHER_BROWSER)
        return url

    async def _get_attempt(self, state: str) -> ConnectionAttempt:
        """Return an unused attempt. Raises AuthorizationStateInvalid and AuthorizationStateExpired."""
        async with self.db.read() as session:
            attempt = await connection_attempts.find_by_state(session, hash_state(state))
        if attempt is None or attempt.used_at is not None:
            raise AuthorizationStateInvalid
        now = self.clock()
        if not now < attempt.expires_at <= now + ATTEMPT_LIFETIME + MAX_CLOCK_SKEW:
            raise AuthorizationStateExpired
        return attempt
