"""Login Kit: the URLs that send users to TikTok's consent page."""

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode

import structlog

from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import connection_attempts
from tiktok_accounts_gql.db.models import ConnectionAttempt
from tiktok_accounts_gql.errors import AuthorizationStateInvalid
from tiktok_accounts_gql.tiktok.client import build_authorization_url

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginKit:
    """The registration of this app at TikTok. `start_url` is the URL of this server's start page.

    An app that is registered as `desktop` has to send a code challenge.
    """

    start_url: str
    authorize_url: str
    client_key: str
    redirect_uri: str
    scopes: tuple[str, ...]
    desktop: bool = False

    def build_start_url(self, state: str) -> str:
        return f"{self.start_url}?{urlencode({'state': state})}"

    def build_consent_url(self, state: str, code_verifier: str | None) -> str:
        """Return the URL where the user consents. Only a desktop app has a code verifier."""
        return build_authorization_url(
            authorize_url=self.authorize_url,
            client_key=self.client_key,
            redirect_uri=self.redirect_uri,
            scopes=self.scopes,
            state=state,
            code_challenge=None if code_verifier is None else sha256(code_verifier.encode()).hexdigest(),
        )


def open_code_verifier(sealer: Sealer, attempt: ConnectionAttempt) -> str | None:
    """Open the attempt's sealed code verifier; None for a web app, which has none.

    Raises AuthorizationStateInvalid if it does not open: without it, TikTok refuses the code.
    """
    if attempt.code_verifier is None:
        return None
    try:
        return sealer.open(attempt.code_verifier, connection_attempts.verifier_location(attempt.id))
    except SealBroken as error:
        log.warning("code verifier unreadable", attempt_id=str(attempt.id), reason=str(error))
        raise AuthorizationStateInvalid from error
