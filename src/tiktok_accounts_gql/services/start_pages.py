"""The page of ours before TikTok's: it names for whom an account will be connected, and binds the attempt to the browser.

Looking at it changes nothing: chat apps and browsers look at links by themselves. Who goes on has the attempt, and no other
browser does from then on.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import connection_attempts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import ConnectionAttempt
from tiktok_accounts_gql.errors import AuthorizationStateExpired, AuthorizationStateInvalid
from tiktok_accounts_gql.services.authorizations import CLOCKS_DIFFER, LIFETIME, OTHER_BROWSER, hash_state
from tiktok_accounts_gql.services.login_kit import LoginKit, open_verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPage:
    """For whom an account will be connected. `viewer_name`: None if the viewer's token did not say; `app`: a host's name."""

    viewer_id: str
    viewer_name: str | None
    app: str


class StartPages:
    """What is shown before TikTok, and how it goes on from there."""

    def __init__(self, *, db: Database, sealer: Sealer, login_kit: LoginKit, clock: Clock) -> None:
        self.consent_page = login_kit.authorize_url
        self._db = db
        self._sealer = sealer
        self._login_kit = login_kit
        self._clock = clock

    async def find(self, state: str, browser: str | None) -> StartPage:
        """`browser`: its secret, if it has one. Raises AuthorizationStateInvalid and AuthorizationStateExpired."""
        attempt = await self._attempt(state)
        whose = attempt.browser_hash
        if whose is not None and (browser is None or whose != connection_attempts.hash_browser(attempt.id, browser)):
            raise AuthorizationStateInvalid(OTHER_BROWSER)
        app = urlsplit(attempt.return_to or self._login_kit.start_url).hostname or ""
        return StartPage(viewer_id=attempt.viewer_id, viewer_name=attempt.viewer_name, app=app)

    async def go_on(self, state: str, browser: str) -> str:
        """The URL of TikTok's consent page, for this browser alone. Raises as `find`."""
        attempt, now = await self._attempt(state), self._clock()
        link = self._login_kit.consent_url(state, open_verifier(self._sealer, attempt))
        browser_hash = connection_attempts.hash_browser(attempt.id, browser)
        async with self._db.transaction() as session:
            is_own = await connection_attempts.bind_browser(
                session,
                attempt.viewer_id,
                attempt.id,
                browser_hash=browser_hash,
                now=now,
                lifetime=LIFETIME + CLOCKS_DIFFER,
            )
        if not is_own:
            raise AuthorizationStateInvalid(OTHER_BROWSER)
        return link

    async def _attempt(self, state: str) -> ConnectionAttempt:
        """Raises AuthorizationStateInvalid and AuthorizationStateExpired."""
        async with self._db.read() as session:
            attempt = await connection_attempts.find_by_state(session, hash_state(state))
        if attempt is None or attempt.used_at is not None:
            raise AuthorizationStateInvalid
        now = self._clock()
        if not now < attempt.expires_at <= now + LIFETIME + CLOCKS_DIFFER:
            raise AuthorizationStateExpired
        return attempt
