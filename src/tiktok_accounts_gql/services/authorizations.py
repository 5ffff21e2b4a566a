"""OAuth authorizations: the user is sent to TikTok and comes back, once, within ten minutes, and as the same viewer.

An authorization starts at a page of this server (`start_pages.py`). The caller who finishes it shows the viewer's token or,
at the server's own callback, the cookie of the browser that continued from that page.

`state` is 256 random bits, of which the hash is stored. The attempt is marked as used before its code is exchanged, and its
outcome commits together with the account. So a repeated callback finds the outcome and answers as the first one did. A crash
in between leaves a used attempt without an outcome: the user has to start again.
"""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from uuid import UUID

from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import accounts, connection_attempts
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import AuditAction, ConnectionAttempt
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import (
    AuthorizationStateExpired,
    AuthorizationStateInvalid,
    InvalidInput,
    LimitReached,
    OperationError,
)
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.callbacks import AuthorizationResult, Callback
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount
from tiktok_accounts_gql.services.connections import CodeExchange, ConnectionService
from tiktok_accounts_gql.services.login_kit import LoginKit, open_code_verifier
from tiktok_accounts_gql.services.return_urls import find_origin
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.single_flight import SingleFlight

CONNECT_OPERATION = "connectAccount"  # the server's own callback does the same
ATTEMPT_LIFETIME = timedelta(minutes=10)
ATTEMPT_RETENTION = timedelta(days=1)
MAX_STARTS_PER_VIEWER = 30
START_WINDOW = timedelta(minutes=1)
MAX_CLOCK_SKEW = timedelta(seconds=5)  # between two servers
STATE_BYTES = 32
CODE_VERIFIER_BYTES = 48  # 64 characters; RFC 7636 allows 43 to 128
OUTCOME_TIMEOUT_SECONDS = 30.0
OUTCOME_POLL_SECONDS = 0.1

OTHER_BROWSER = (
    "The authorization was begun in another browser, or this one did not keep this server's cookie. Nothing was connected. "
    "Start again, and stay in one browser that accepts cookies."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedAuthorization:
    """The link to this server's start page, and when the attempt expires."""

    authorization_url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationService:
    """Starts and finishes connection attempts."""

    db: Database
    connections: ConnectionService
    audit: AuditService
    sealer: Sealer
    login_kit: LoginKit
    return_origins: Collection[str]
    clock: Clock
    callbacks: SingleFlight[AuthorizationResult] = field(default_factory=SingleFlight, init=False)

    @retry_on_deadlock
    async def start(self, viewer: Viewer, *, return_to: str | None, account_id: UUID | None) -> StartedAuthorization:
        """Create a connection attempt; with an `account_id`, only that account can be connected by it.

        Raises InvalidInput, NotFound, LimitReached.
        """
        if return_to is not None and find_origin(return_to) not in self.return_origins:
            raise InvalidInput("The origin of `returnTo` is not on this server's list.", field=("input", "returnTo"))
        state = secrets.token_urlsafe(STATE_BYTES)
        attempt = self._build_attempt(viewer, state, return_to, account_id)
        async with self.db.transaction() as session:
            if account_id is not None:
                await accounts.get(session, viewer.id, account_id)
            await self._check_start_limit(session, viewer)
            await connection_attempts.delete_before(session, viewer.id, self.clock() - ATTEMPT_RETENTION)
            await connection_attempts.add(session, attempt)
            self.audit.record(session, viewer, AuditAction.AUTHORIZATION_STARTED, account_id=account_id)
        start_url = self.login_kit.build_start_url(state)
        return StartedAuthorization(authorization_url=start_url, expires_at=attempt.expires_at)

    def _build_attempt(
        self, viewer: Viewer, state: str, return_to: str | None, account_id: UUID | None
    ) -> ConnectionAttempt:
        attempt_id, now = uuid7(), self.clock()
        code_verifier = None
        if self.login_kit.desktop:
            place = connection_attempts.verifier_location(attempt_id)
            code_verifier = self.sealer.seal(secrets.token_urlsafe(CODE_VERIFIER_BYTES), place)
        return ConnectionAttempt(
            id=attempt_id,
            viewer_id=viewer.id,
            viewer_name=viewer.name,
            state_hash=hash_state(state),
            account_id=account_id,
            return_to=return_to,
            code_verifier=code_verifier,
            created_at=now,
            expires_at=now + ATTEMPT_LIFETIME,
        )

    async def _check_start_limit(self, session: Session, viewer: Viewer) -> None:
        """Raise LimitReached if the viewer has started as many attempts lately as allowed."""
        now = self.clock()
        started = await connection_attempts.lock_started(session, viewer.id, since=now - START_WINDOW)
        if len(started) >= MAX_STARTS_PER_VIEWER:
            free_in = started[-MAX_STARTS_PER_VIEWER] + START_WINDOW - now
            message = f"{MAX_STARTS_PER_VIEWER} authorizations a minute may be started."
            seconds = min(ceil(free_in.total_seconds()), ceil(START_WINDOW.total_seconds()))
            raise LimitReached(message, retry_after_seconds=max(1, seconds))

    async def finish(
        self,
        callback: Callback,
        viewer: Viewer | None = None,
        *,
        browser: str | None = None,
        request_id: str | None = None,
        ip_address: str | None = None,
    ) -> AuthorizationResult:
        """Connect the account that the user authorized.

        Without a viewer, the attempt tells whose account it will be, provided that `browser` is the secret of the browser
        that went to TikTok for it; `request_id` and `ip_address` are then those of the audit events.

        A malformed callback does not use up the attempt. Raises InvalidInput if it has no valid state either; every other
        error is part of the result.
        """
        invalid = callback.validate()
        async with self.db.read() as session:
            attempt = await connection_attempts.find_by_state(session, hash_state(callback.state))
        if attempt is None or (viewer is not None and viewer.id != attempt.viewer_id):
            if invalid is not None:
                raise invalid
            return await self._reject(viewer, None, AuthorizationStateInvalid())
        owner = viewer or Viewer(id=attempt.viewer_id, request_id=request_id, ip_address=ip_address)
        if viewer is None and not is_bound_to(attempt, browser):
            return await self._reject(owner, attempt, AuthorizationStateInvalid(OTHER_BROWSER))
        if invalid is not None:
            return await self._reject(owner, attempt, invalid)
        key = (attempt.id, callback.fingerprint)
        is_repeated = self.callbacks.has(key)
        result = await self.callbacks.run(key, lambda: self._finish_once(owner, attempt, callback))
        return await self._record_repetition(owner, attempt, result) if is_repeated else result

    async def settle(self) -> None:
        """Wait for the callbacks that are being handled."""
        await self.callbacks.settle()

    async def _finish_once(self, viewer: Viewer, attempt: ConnectionAttempt, callback: Callback) -> AuthorizationResult:
        """Mark the attempt as used and connect the account; if it was used before, answer as its first callback did."""
        now, lifetime = self.clock(), ATTEMPT_LIFETIME + MAX_CLOCK_SKEW
        async with self.db.transaction() as session:
            used = await connection_attempts.mark_used(
                session, viewer.id, attempt.id, fingerprint=callback.fingerprint, now=now, lifetime=lifetime
            )
        if used is None:
            if attempt.used_at is None and not now < attempt.expires_at <= now + lifetime:
                return await self._reject(viewer, attempt, AuthorizationStateExpired())
            return await self._wait_for_outcome(viewer, attempt, callback)
        try:
            exchange = self._build_exchange(used, callback)
        except OperationError as error:
            await self.connections.record_failure(viewer, used.id, used.account_id, error)
            return AuthorizationResult(return_to=used.return_to, error=error)
        try:
            connected = await self.connections.connect(viewer, exchange)
        except OperationError as error:
            return AuthorizationResult(return_to=used.return_to, error=error)
        return AuthorizationResult(return_to=used.return_to, connected=connected)

    def _build_exchange(self, attempt: ConnectionAttempt, callback: Callback) -> CodeExchange:
        """Raise OperationError if TikTok sent an error, or if the code verifier does not open."""
        if callback.code is None:
            raise callback.to_operation_error()
        return CodeExchange(
            code=callback.code,
            redirect_uri=self.login_kit.redirect_uri,
            code_verifier=open_code_verifier(self.sealer, attempt),
            account_id=attempt.account_id,
            attempt_id=attempt.id,
        )

    async def _wait_for_outcome(
        self, viewer: Viewer, attempt: ConnectionAttempt, callback: Callback
    ) -> AuthorizationResult:
        """Wait for the outcome of the callback that used the attempt, and answer with it if this one repeats that.

        The first callback may be in progress in another process.
        """
        deadline = asyncio.get_running_loop().time() + OUTCOME_TIMEOUT_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            async with self.db.read() as session:
                current = await connection_attempts.find_by_state(session, attempt.state_hash)
            if current is None or current.fingerprint != callback.fingerprint:
                break
            if current.error is not None:
                result = AuthorizationResult.from_stored_code(attempt.return_to, current.error)
                return await self._record_repetition(viewer, current, result)
            if current.connected_account_id is not None:
                async with self.db.read() as session:
                    rows = await accounts.list_by_ids(session, viewer.id, [current.connected_account_id])
                if not rows:  # disconnected since
                    break
                connected = ConnectedAccount(account=rows[0], reconnected=bool(current.reconnected))
                result = AuthorizationResult(return_to=attempt.return_to, connected=connected)
                return await self._record_repetition(viewer, current, result)
            await asyncio.sleep(OUTCOME_POLL_SECONDS)
        return await self._reject(viewer, attempt, AuthorizationStateInvalid())

    async def _record_repetition(
        self, viewer: Viewer, attempt: ConnectionAttempt, result: AuthorizationResult
    ) -> AuthorizationResult:
        """Record that this callback gets the result of an earlier one, and return that."""
        account_id = result.connected.account.id if result.connected else attempt.account_id
        details = [Detail(name="reason", value=result.error.code)] if result.error else []
        async with self.db.transaction() as session:
            self.audit.record_repetition(session, viewer, CONNECT_OPERATION, account_id=account_id, details=details)
        return result

    async def _reject(
        self, viewer: Viewer | None, attempt: ConnectionAttempt | None, error: OperationError
    ) -> AuthorizationResult:
        """Record that the callback failed, if its viewer is known; the attempt stays as it is."""
        account_id, return_to = (attempt.account_id, attempt.return_to) if attempt else (None, None)
        if viewer is not None:
            details = [Detail(name="reason", value=error.code)]
            async with self.db.transaction() as session:
                action = AuditAction.AUTHORIZATION_FAILED
                self.audit.record(session, viewer, action, account_id=account_id, details=details)
        return AuthorizationResult(return_to=return_to, error=error)


def is_bound_to(attempt: ConnectionAttempt, browser: str | None) -> bool:
    """Tell whether the user continued to TikTok in the browser with this secret."""
    if attempt.browser_hash is None or browser is None:
        return False
    return compare_digest(attempt.browser_hash, connection_attempts.hash_browser(attempt.id, browser))


def hash_state(state: str) -> bytes:
    return sha256(state.encode("utf-8", "replace")).digest()
