"""Connects accounts: from an authorization code to a stored account."""

from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.db import accounts, connection_attempts
from tiktok_accounts_gql.db.accounts import AccountTaken
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AuditAction
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    ConnectedElsewhere,
    OperationError,
    ScopeMissing,
    WrongTikTokAccount,
)
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.connection_writer import ConnectedAccount, ConnectionWriter
from tiktok_accounts_gql.services.durable_writes import DurableWriter
from tiktok_accounts_gql.services.grant_readings import GrantReader
from tiktok_accounts_gql.services.grants import GrantConflict, Grants
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import CallPolicy
from tiktok_accounts_gql.services.rejected_grants import RejectedGrants
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.tiktok_failures import to_exchange_error, to_operation_error
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import TikTokError
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, TokenGrant

STORE_TIMEOUT_SECONDS = 45.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeExchange:
    """An authorization code, and what has to be true of the account that it opens.

    With an `account_id`, only that account is accepted. `attempt_id` is the connection attempt whose outcome this is.
    """

    code: str = field(repr=False)
    redirect_uri: str
    code_verifier: str | None = field(default=None, repr=False)
    account_id: UUID | None = None
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionService:
    """Exchanges codes for grants, and stores grants with the accounts that they open."""

    db: Database
    oauth: OAuthCalls
    grants: Grants
    grant_reader: GrantReader
    rejected_grants: RejectedGrants
    writer: ConnectionWriter
    audit: AuditService
    storing: DurableWriter
    revocations: RevocationService

    async def connect(self, viewer: Viewer, exchange: CodeExchange) -> ConnectedAccount:
        """Exchange the code, read the account and store it; an account that was connected before keeps its id.

        An account that cannot be read at the moment is connected nevertheless: its first sync reads it. While the database
        is away, the grant is held in memory, and stored later even if the caller has stopped waiting. An error is stored as
        the outcome of the connection attempt.
        Raises AuthorizationCodeInvalid, AuthorizationDenied, WrongTikTokAccount, ConnectedElsewhere, ScopeMissing,
        TikTokRateLimited, TikTokUnavailable, AppMisconfigured.
        """
        await self.revocations.postpone(viewer)
        try:
            grant = await self._exchange_code(viewer, exchange)
        except OperationError as error:
            await self.record_failure(viewer, exchange.attempt_id, exchange.account_id, error)
            raise
        grant_id = uuid7()
        return await self.storing.store(
            grant_id,
            partial(self._store_grant, viewer, exchange, grant, grant_id),
            timeout=STORE_TIMEOUT_SECONDS,
            attempt_id=str(exchange.attempt_id),
        )

    async def record_failure(
        self, viewer: Viewer, attempt_id: UUID | None, account_id: UUID | None, error: OperationError
    ) -> None:
        """Store the error as the outcome of the connection attempt, if there is one."""
        if attempt_id is None:
            return
        details = [Detail(name="reason", value=error.code)]
        async with self.db.transaction() as session:
            await connection_attempts.finish(session, viewer.id, attempt_id, error=error.code.value)
            self.audit.record(session, viewer, AuditAction.AUTHORIZATION_FAILED, account_id=account_id, details=details)

    async def _exchange_code(self, viewer: Viewer, exchange: CodeExchange) -> TokenGrant:
        try:
            return await self.oauth.exchange_code(
                code=exchange.code,
                redirect_uri=exchange.redirect_uri,
                code_verifier=exchange.code_verifier,
                policy=CallPolicy(viewer_id=viewer.id),
            )
        except TikTokError as tiktok_error:
            error = to_exchange_error(tiktok_error)
            if isinstance(error, AppMisconfigured):
                log.error(  # noqa: TRY400 - its message says it all
                    "code not exchanged",
                    reason=tiktok_error.message,
                    tiktok_code=tiktok_error.code,
                    log_id=tiktok_error.log_id,
                )
            raise error from tiktok_error

    async def _store_grant(
        self, viewer: Viewer, exchange: CodeExchange, grant: TokenGrant, grant_id: UUID
    ) -> ConnectedAccount:
        """Store the account with this grant, or the error that prevents it. Raises as `connect` does."""
        try:
            grant = await self._check_grant(viewer, exchange, grant, grant_id)
            return await self._store_unless_superseded(viewer, exchange, grant, grant_id)
        except OperationError as error:
            await self.record_failure(viewer, exchange.attempt_id, exchange.account_id, error)
            raise

    async def _check_grant(
        self, viewer: Viewer, exchange: CodeExchange, grant: TokenGrant, grant_id: UUID
    ) -> TokenGrant:
        """Return the grant with its `open_id`; dispose of it if it is not what was asked for. Raises OperationError."""
        try:
            grant = await self.grant_reader.identify(viewer, grant)
        except TikTokError as error:  # a grant of an unknown account cannot be stored anywhere
            await self.rejected_grants.revoke(viewer, grant)
            raise to_operation_error(error) from error
        if BASIC_SCOPE not in self.grants.granted_scopes(grant):
            await self.rejected_grants.dispose(viewer, grant, grant_id)
            raise ScopeMissing
        if exchange.account_id is not None:
            account = await self._find_account(viewer, grant.open_id)
            if account is None or account.id != exchange.account_id:
                await self.rejected_grants.dispose(viewer, grant, grant_id)
                raise WrongTikTokAccount
        return grant

    async def _store_unless_superseded(
        self, viewer: Viewer, exchange: CodeExchange, grant: TokenGrant, grant_id: UUID
    ) -> ConnectedAccount:
        """Store the account with this grant, unless the same TikTok user gave a later one meanwhile, which is then kept.

        TikTok ends a user's earlier grant when the user consents again, and only TikTok knows which of two grants is the
        later one. No transaction is open while an account is read from TikTok. So two grants, A and then B, can interleave:

        1. B is given, read and stored before A is read: TikTok refuses to read by A, and the stored B is kept.
        2. A is read, then B is given and stored, then A would be stored: A's transaction finds another grant than before its
           reading and raises GrantConflict. A is read again, and it is as in 1.

        Each further round needs one more consent in between, so the loop ends.
        """
        while True:
            if (connected := await self._find_stored(viewer, grant, grant_id)) is not None:
                return connected
            await self.revocations.cancel(grant.open_id)
            reading = await self.grant_reader.read(viewer, grant, grant_id)
            try:
                return await self.writer.store(viewer, exchange.attempt_id, reading)
            except GrantConflict:
                continue
            except AccountTaken:
                account = await self._find_account(viewer, grant.open_id)
                # Else another call connected it for this viewer: read it again, and store this grant with it.
                if account is None or account.disconnected_at is not None:
                    await self.rejected_grants.dispose(viewer, grant, grant_id)
                    raise ConnectedElsewhere from None

    async def _find_stored(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> ConnectedAccount | None:
        """Return the account if an earlier try has stored this grant: the outcome of its commit may be unknown."""
        account = await self._find_account(viewer, grant.open_id)
        if account is None or await self.grants.find_grant_id(account) != grant_id:
            return None
        return ConnectedAccount(account=account, reconnected=account.created_at != account.connected_at)

    async def _find_account(self, viewer: Viewer, open_id: str) -> Account | None:
        """Find the viewer's account with this `open_id`, also if it is disconnected."""
        async with self.db.read() as session:
            return await accounts.find_by_open_id(session, viewer.id, open_id)
