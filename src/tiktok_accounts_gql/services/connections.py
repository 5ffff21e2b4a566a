"""Connecting accounts: from an authorization code to a stored account."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, connection_attempts, snapshots
from tiktok_accounts_gql.db.accounts import Taken
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    ConnectedElsewhere,
    OperationError,
    ScopeMissing,
    WrongTikTokAccount,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grant_readings import GrantReader, GrantReading
from tiktok_accounts_gql.services.grant_returns import GrantReturns
from tiktok_accounts_gql.services.grants import Grants, Overtaken
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.slots import CallPolicy
from tiktok_accounts_gql.services.storing import Storing
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync_times import SyncTimes
from tiktok_accounts_gql.services.tiktok_failures import code_mistake, user_mistake
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import (
    TikTokError,
    WrongAccount,
)
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, TokenGrant

PATIENCE_SECONDS = 45.0

Refused = Callable[[OperationError], Awaitable[None]]

log = structlog.get_logger()


async def nobody(mistake: OperationError) -> None:
    del mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What TikTok's redirect brought, and what it was asked for.

    `account_id`: the only account that is wanted. `attempt_id`: the connection attempt that ends with this.
    """

    code: str = field(repr=False)
    redirect_uri: str
    code_verifier: str | None = field(default=None, repr=False)
    account_id: UUID | None = None
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    account: Account
    reconnected: bool


class ConnectionService:
    """Obtains the owner's grant, and stores what it opens."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        grants: Grants,
        readings: GrantReader,
        returns: GrantReturns,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        storing: Storing,
        revocations: RevocationService,
        times: SyncTimes,
        clock: Clock,
    ) -> None:
        self._times = times
        self._db = db
        self._oauth = oauth
        self._grants = grants
        self._readings = readings
        self._returns = returns
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._storing = storing
        self._revocations = revocations
        self._clock = clock

    async def connect(self, viewer: Viewer, consent: Consent, refused: Refused = nobody) -> Connected:
        """Exchanges the code, reads the account and stores it; one that was connected before comes back as it was.

        An account that cannot be read for now is connected all the same: its first sync will read it. While the database is
        away the grant is held, and stored later, whoever waits; `refused` stores why it was of no use.
        Raises AuthorizationCodeInvalid, AuthorizationDenied, WrongTikTokAccount, ConnectedElsewhere, ScopeMissing,
        TikTokRateLimited, TikTokUnavailable, AppMisconfigured.
        """
        await self._revocations.postpone(viewer)
        try:
            grant = await self._exchange(viewer, consent)
        except OperationError as mistake:
            await refused(mistake)
            raise
        grant_id = uuid7()

        async def keep() -> Connected:
            try:
                return await self._keep(viewer, consent, grant, grant_id)
            except OperationError as mistake:
                await refused(mistake)
                raise

        return await self._storing.store(grant_id, keep, patience=PATIENCE_SECONDS, attempt_id=str(consent.attempt_id))

    async def _keep(self, viewer: Viewer, consent: Consent, grant: TokenGrant, grant_id: UUID) -> Connected:
        """May be called again after it was done. Raises as `connect` does."""
        try:
            grant = await self._readings.identify(viewer, grant)
        except TikTokError as error:  # without the account that it is of, it can be stored nowhere
            await self._returns.revoke(viewer, grant)
            raise user_mistake(error) from error
        if BASIC_SCOPE not in self._grants.granted(grant):
            await self._returns.give_back(viewer, grant, grant_id)
            raise ScopeMissing
        if not await self._is_wanted(viewer, consent, grant):
            await self._returns.give_back(viewer, grant, grant_id)
            raise WrongTikTokAccount
        while True:  # until nobody came between; each turn more needs one more who did
            if (connected := await self._find_stored(viewer, grant, grant_id)) is not None:
                return connected
            await self._revocations.cancel(grant.open_id)
            reading = await self._readings.read(viewer, grant, grant_id)
            try:
                return await self._store(viewer, consent, reading)
            except Overtaken:
                continue
            except Taken:
                if not await self._is_mine(viewer, grant.open_id):
                    await self._returns.give_back(viewer, grant, grant_id)
                    raise ConnectedElsewhere from None

    async def _find_stored(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> Connected | None:
        """By a commit whose outcome was not known."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        if account is None or await self._grants.grant_id(account) != grant_id:
            return None
        return Connected(account=account, reconnected=account.created_at != account.connected_at)

    async def _exchange(self, viewer: Viewer, consent: Consent) -> TokenGrant:
        try:
            return await self._oauth.exchange_code(
                code=consent.code,
                redirect_uri=consent.redirect_uri,
                code_verifier=consent.code_verifier,
                policy=CallPolicy(viewer_id=viewer.id),
            )
        except TikTokError as error:
            mistake = code_mistake(error)
            if isinstance(mistake, AppMisconfigured):
                log.error("code not exchanged", reason=error.message, tiktok_code=error.code, log_id=error.log_id)  # noqa: TRY400
            raise mistake from error

    async def _is_wanted(self, viewer: Viewer, consent: Consent, grant: TokenGrant) -> bool:
        if consent.account_id is None:
            return True
        async with self._db.read() as session:
            found = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        return found is not None and found.id == consent.account_id

    async def _is_mine(self, viewer: Viewer, open_id: str) -> bool:
        """Now, that is: the viewer may have left it, and another one may have connected it since."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, open_id)
        return account is not None and account.disconnected_at is None

    @again_if_undone
    async def _store(self, viewer: Viewer, consent: Consent, reading: GrantReading) -> Connected:
        """An account whose later grant is stored already keeps it. Raises Taken, Overtaken."""
        async with self._db.transaction() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, reading.grant.open_id)
            listed = earlier if earlier and earlier.disconnected_at is None else None
            keeps = listed if not reading.works else None
            account = keeps or await self._write(session, viewer, reading, earlier)
            self._record(session, viewer, account, reconnected=earlier is not None)
            kind = ChangeKind.UPDATED if listed else ChangeKind.CONNECTED
            self._notifications.publish(session, viewer.id, AccountChanged(account_id=account.id, kind=kind))
            if consent.attempt_id is not None:
                outcome = {"connected_account_id": account.id, "reconnected": earlier is not None}
                await connection_attempts.end(session, viewer.id, consent.attempt_id, **outcome)
        return Connected(account=account, reconnected=earlier is not None)

    async def _write(self, session: Session, viewer: Viewer, reading: GrantReading, earlier: Account | None) -> Account:
        values = self._columns(reading, earlier)
        if earlier is None:
            account = await accounts.add(session, viewer.id, open_id=reading.grant.open_id, **values)
        else:
            account = await accounts.reconnect(session, viewer.id, earlier.id, **values)
        await self._grants.store(session, account, reading.grant, grant_id=reading.grant_id, replaces=reading.replaces)
        if pictured := self._avatars.store(session, self._avatars.copy_of(account, reading.picture)):
            account = await accounts.change(session, viewer.id, account.id, **pictured)
        if reading.user is not None and profile_mapping.has_counters(account):
            snapshots.add(session, account, values["last_synced_at"])
        return account

    def _columns(self, reading: GrantReading, earlier: Account | None) -> dict[str, Any]:
        now, grant, granted = self._clock(), reading.grant, reading.granted
        name = earlier.display_name if earlier else profile_mapping.placeholder(grant.open_id)
        unread = {} if earlier else accounts.names(None, name)
        hidden = profile_mapping.withheld(name, granted)
        read = profile_mapping.columns(reading.user, earlier, granted, now) if reading.user else {**unread, **hidden}
        begins = {"granted_scopes": sorted(granted), "connected_at": now, "reauthorize_by": _still_ahead(earlier, now)}
        soon = None if reading.user else now + health.retry_in(1)  # the first sync reads it
        planned = {"next_sync_at": self._times.after_failure(grant.open_id, now, soon)}
        return {**read, **begins, **self._grants.lifetimes(grant), **self._health(reading, now), **planned}

    def _health(self, reading: GrantReading, now: datetime) -> dict[str, Any]:
        """What the first sync will read is no trouble yet; another account's reading is."""
        if isinstance(reading.failure, WrongAccount):
            return {**health.unread(now), "last_error": user_mistake(reading.failure).message}
        missing = self._grants.are_scopes_missing(reading.granted)
        return {**health.worked(None, now, scopes_missing=missing), "last_error": None}

    def _record(self, session: Session, viewer: Viewer, account: Account, *, reconnected: bool) -> None:
        action = AuditAction.ACCOUNT_RECONNECTED if reconnected else AuditAction.ACCOUNT_CONNECTED
        scopes = Detail(name="grantedScopes", value=",".join(account.granted_scopes))
        self._audit.record(session, viewer, action, account_id=account.id, details=[scopes])


def _still_ahead(earlier: Account | None, now: datetime) -> datetime | None:
    """When the user had to reconnect, for a new grant that does not say."""
    stored = earlier.reauthorize_by if earlier else None
    return stored if stored and stored > now else None
