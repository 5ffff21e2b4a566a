"""Authorizations: the user is sent to TikTok and comes back, once, within ten minutes, and as the same viewer.

The way begins at a page of ours (`start_pages.py`). Who comes back shows the viewer's token or, at the server's own callback,
the cookie of the browser that went on from that page.

`state` is 256 random bits, stored as a hash. The attempt is used up before the code is exchanged; its outcome commits
together with the account. So a repeated callback finds the outcome and answers as the first did, and a crash in between
leaves an attempt without one: start again.
"""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from urllib.parse import urlsplit
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import accounts, connection_attempts
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, ConnectionAttempt
from tiktok_accounts_gql.errors import (
    AuthorizationStateExpired,
    AuthorizationStateInvalid,
    InvalidInput,
    LimitReached,
    OperationError,
)
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.callbacks import Callback, Finished
from tiktok_accounts_gql.services.connections import Connected, ConnectionService, Consent
from tiktok_accounts_gql.services.login_kit import LoginKit, open_verifier
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight

CONNECT = "connectAccount"  # the callback does the same
LIFETIME = timedelta(minutes=10)
KEPT = timedelta(days=1)
MAX_STARTED, PACE_WINDOW = 30, timedelta(minutes=1)  # by one viewer
CLOCKS_DIFFER = timedelta(seconds=5)  # between two servers, at most
STATE_BYTES = 32
LONGEST_URL = 2000
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.1

OTHER_BROWSER = (
    "The authorization was begun in another browser, or this one did not keep this server's cookie. Nothing was connected. "
    "Start again, and stay in one browser that accepts cookies."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    authorization_url: str = field(repr=False)
    expires_at: datetime


class AuthorizationService:
    """Begins and ends connection attempts."""

    def __init__(
        self,
        *,
        db: Database,
        connections: ConnectionService,
        audit: AuditService,
        sealer: Sealer,
        login_kit: LoginKit,
        return_origins: Collection[str],
        clock: Clock,
    ) -> None:
        self._db = db
        self._connections = connections
        self._audit = audit
        self._sealer = sealer
        self._login_kit = login_kit
        self._return_origins = frozenset(return_origins)
        self._clock = clock
        self._endings: SingleFlight[Finished] = SingleFlight()

    @again_if_undone
    async def start(self, viewer: Viewer, *, return_to: str | None, account_id: UUID | None) -> Started:
        """`account_id`: the only account that is wanted. Raises InvalidInput, NotFound, LimitReached."""
        self._check_return(return_to)
        state, verifier = secrets.token_urlsafe(STATE_BYTES), secrets.token_urlsafe(48)
        attempt = self._attempt(viewer, state, verifier, return_to, account_id)
        async with self._db.transaction() as session:
            if account_id is not None:
                await accounts.get(session, viewer.id, account_id)
            await self._check_pace(session, viewer)
            await connection_attempts.forget_before(session, viewer.id, self._clock() - KEPT)
            await connection_attempts.add(session, attempt)
            self._audit.record(session, viewer, AuditAction.AUTHORIZATION_STARTED, account_id=account_id)
        return Started(authorization_url=self._login_kit.start_url_of(state), expires_at=attempt.expires_at)

    async def _check_pace(self, session: Session, viewer: Viewer) -> None:
        """Raises LimitReached."""
        now = self._clock()
        started = await connection_attempts.lock_started(session, viewer.id, since=now - PACE_WINDOW)
        if len(started) >= MAX_STARTED:
            left = started[-MAX_STARTED] + PACE_WINDOW - now
            says = f"{MAX_STARTED} authorizations a minute may be started."
            seconds = min(ceil(left.total_seconds()), ceil(PACE_WINDOW.total_seconds()))
            raise LimitReached(says, retry_after_seconds=max(1, seconds))

    async def finish(
        self,
        callback: Callback,
        viewer: Viewer | None = None,
        *,
        browser: str | None = None,
        request_id: str | None = None,
        ip_address: str | None = None,
    ) -> Finished:
        """Without a viewer the state tells whose it is, if `browser` is the secret of the browser that went to TikTok for it;
        what the audit keeps of the request comes beside it.

        A callback that is none uses up no attempt. Raises InvalidInput if it names none either; every other failure is
        part of the answer.
        """
        mistake = callback.mistake()
        async with self._db.read() as session:
            attempt = await connection_attempts.find_by_state(session, hash_state(callback.state))
        if attempt is None or (viewer is not None and viewer.id != attempt.viewer_id):
            if mistake is not None:
                raise mistake
            return await self._unknown(viewer)
        owner = viewer or Viewer(id=attempt.viewer_id, request_id=request_id, ip_address=ip_address)
        if viewer is None and not _is_browser_of(attempt, browser):
            return await self._refuse(owner, attempt, AuthorizationStateInvalid(OTHER_BROWSER))
        if mistake is not None:
            return await self._refuse(owner, attempt, mistake)
        key = (attempt.id, callback.fingerprint)
        is_repeated = self._endings.has(key)
        finished = await self._endings.run(key, lambda: self._end_once(owner, attempt, callback))
        return await self._again(owner, attempt, finished) if is_repeated else finished

    async def settle(self) -> None:
        """Waits for attempts that are ending."""
        await self._endings.settle()

    def _check_return(self, return_to: str | None) -> None:
        if return_to is not None and _origin(return_to) not in self._return_origins:
            raise InvalidInput("The origin of `returnTo` is not on this server's list.", field=("input", "returnTo"))

    def _attempt(
        self, viewer: Viewer, state: str, verifier: str, return_to: str | None, account_id: UUID | None
    ) -> ConnectionAttempt:
        attempt_id, now = uuid7(), self._clock()
        place = connection_attempts.verifier_place(attempt_id)
        return ConnectionAttempt(
            id=attempt_id,
            viewer_id=viewer.id,
            viewer_name=viewer.name,
            state_hash=hash_state(state),
            account_id=account_id,
            return_to=return_to,
            code_verifier=self._sealer.seal(verifier, place) if self._login_kit.desktop else None,
            created_at=now,
            expires_at=now + LIFETIME,
        )

    async def _unknown(self, viewer: Viewer | None) -> Finished:
        mistake = AuthorizationStateInvalid()
        if viewer is not None:
            async with self._db.transaction() as session:
                self._record(viewer, mistake, session)
        return Finished(return_to=None, mistake=mistake)

    async def _end_once(self, viewer: Viewer, attempt: ConnectionAttempt, callback: Callback) -> Finished:
        now, fingerprint = self._clock(), callback.fingerprint
        async with self._db.transaction() as session:
            used = await connection_attempts.use(
                session, viewer.id, attempt.id, fingerprint=fingerprint, now=now, lifetime=LIFETIME + CLOCKS_DIFFER
            )
        if used is not None:
            return await self._end(viewer, used, callback)
        if attempt.used_at is None and not now < attempt.expires_at <= now + LIFETIME + CLOCKS_DIFFER:
            return await self._refuse(viewer, attempt, AuthorizationStateExpired())
        return await self._as_the_first(viewer, attempt, callback)

    async def _end(self, viewer: Viewer, attempt: ConnectionAttempt, callback: Callback) -> Finished:
        async def refused(mistake: OperationError) -> None:
            async with self._db.transaction() as session:
                await connection_attempts.end(session, viewer.id, attempt.id, error=mistake.code.value)
                self._record(viewer, mistake, session, attempt.account_id)

        try:
            consent = self._consent(attempt, callback)
        except OperationError as mistake:
            await refused(mistake)
            return Finished(return_to=attempt.return_to, mistake=mistake)
        try:
            connected = await self._connections.connect(viewer, consent, refused)
        except OperationError as mistake:
            return Finished(return_to=attempt.return_to, mistake=mistake)
        return Finished(return_to=attempt.return_to, connected=connected)

    def _consent(self, attempt: ConnectionAttempt, callback: Callback) -> Consent:
        """Raises OperationError."""
        if callback.code is None:
            raise callback.refusal()
        return Consent(
            code=callback.code,
            redirect_uri=self._login_kit.redirect_uri,
            code_verifier=open_verifier(self._sealer, attempt),
            account_id=attempt.account_id,
            attempt_id=attempt.id,
        )

    async def _as_the_first(self, viewer: Viewer, attempt: ConnectionAttempt, callback: Callback) -> Finished:
        """The same call again gets the first one's answer, once there is one; another call gets none."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            async with self._db.read() as session:
                current = await connection_attempts.find_by_state(session, attempt.state_hash)
            if current is None or current.fingerprint != callback.fingerprint:
                break
            if current.error is not None:
                return await self._again(viewer, current, Finished.as_before(attempt.return_to, current.error))
            if current.connected_account_id is not None:
                return await self._found(viewer, current, current.connected_account_id)
            await asyncio.sleep(POLL_SECONDS)
        return await self._refuse(viewer, attempt, AuthorizationStateInvalid())

    async def _found(self, viewer: Viewer, attempt: ConnectionAttempt, account_id: UUID) -> Finished:
        async with self._db.read() as session:
            found = await accounts.list_by_ids(session, viewer.id, [account_id])
        if not found:  # disconnected since
            return await self._refuse(viewer, attempt, AuthorizationStateInvalid())
        connected = Connected(account=found[0], reconnected=bool(attempt.reconnected))
        return await self._again(viewer, attempt, Finished(return_to=attempt.return_to, connected=connected))

    async def _again(self, viewer: Viewer, attempt: ConnectionAttempt, finished: Finished) -> Finished:
        """The answer of an earlier call, with an event of its own."""
        account_id = finished.connected.account.id if finished.connected else attempt.account_id
        details = [Detail(name="reason", value=finished.mistake.code)] if finished.mistake else []
        async with self._db.transaction() as session:
            self._audit.record_repetition(session, viewer, CONNECT, account_id=account_id, details=details)
        return finished

    async def _refuse(self, viewer: Viewer, attempt: ConnectionAttempt, mistake: OperationError) -> Finished:
        async with self._db.transaction() as session:
            self._record(viewer, mistake, session, attempt.account_id)
        return Finished(return_to=attempt.return_to, mistake=mistake)

    def _record(
        self, viewer: Viewer, mistake: OperationError, session: Session, account_id: UUID | None = None
    ) -> None:
        action, details = AuditAction.AUTHORIZATION_FAILED, [Detail(name="reason", value=mistake.code)]
        self._audit.record(session, viewer, action, account_id=account_id, details=details)


def _origin(url: str) -> str | None:
    """None for what is no URL, and for what a browser might understand in another way than we do."""
    if len(url) > LONGEST_URL or not url.isprintable() or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if url.startswith(origin) else None


def _is_browser_of(attempt: ConnectionAttempt, browser: str | None) -> bool:
    if attempt.browser_hash is None or browser is None:
        return False
    return compare_digest(attempt.browser_hash, connection_attempts.hash_browser(attempt.id, browser))


def hash_state(state: str) -> bytes:
    return sha256(state.encode("utf-8", "replace")).digest()
