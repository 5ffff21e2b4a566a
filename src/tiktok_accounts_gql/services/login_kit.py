"""Login Kit: how this app sends people to TikTok."""

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
    """How this app is known to TikTok. `desktop`: as a desktop app, which has to send a code challenge.

    `start_url`: of our own page before TikTok's.
    """

    start_url: str
    authorize_url: str
    client_key: str
    redirect_uri: str
    scopes: tuple[str, ...]
    desktop: bool = False

    def start_url_of(self, state: str) -> str:
        return f"{self.start_url}?{urlencode({'state': state})}"

    def consent_url(self, state: str, verifier: str | None) -> str:
        """Where a user consents. `verifier`: of a desktop app."""
        return build_authorization_url(
            authorize_url=self.authorize_url,
            client_key=self.client_key,
            redirect_uri=self.redirect_uri,
            scopes=self.scopes,
            state=state,
            code_challenge=None if verifier is None else sha256(verifier.encode()).hexdigest(),
        )


def open_verifier(sealer: Sealer, attempt: ConnectionAttempt) -> str | None:
    """None for a web app. Raises AuthorizationStateInvalid if it does not open: without it the code is of no use."""
    if attempt.code_verifier is None:
        return None
    try:
        return sealer.open(attempt.code_verifier, connection_attempts.verifier_location(attempt.id))
    except SealBroken as error:
        log.warning("code verifier unreadable", attempt_id=str(attempt.id), reason=str(error))
        raise AuthorizationStateInvalid from error
