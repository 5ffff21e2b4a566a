"""Connecting accounts: from an authorization code to a stored account."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, connection_attempts, revocations, snapshots
from tiktok_accounts_gql.db.accounts import Taken
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AppMisconfigured,
    AuthorizationCodeInvalid,
    AuthorizationDenied,
    ConnectedElsewhere,
    NotFound,
    ScopeMissing,
    TikTokUnavailable,
    UserMistake,
    WrongTikTokAccount,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health, readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grants import Grants, Overtaken
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.reading import AccountReader
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.scopes import read_granted
from tiktok_accounts_gql.services.slots import FOR_A_USER
from tiktok_accounts_gql.services.storing import Storing
from tiktok_accounts_gql.services.sync_times import SyncTimes
from tiktok_accounts_gql.services.tiktok_failures import DEFAULT_RETRY_SECONDS, user_mistake
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import (
    AccessTokenInvalid,
    InvalidGrant,
    RequestRefused,
    ScopeNotGranted,
    TikTokError,
    UnreadableReply,
    WrongAccount,
)
from tiktok_accounts_gql.tiktok.pictures import Picture
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, FIELDS_OF_SCOPES, TikTokUser, TokenGrant

ACCESS_DENIED = "access_denied"  # RFC 6749, section 4.1.2.1

PATIENCE_SECONDS = 45.0

Refused = Callable[[UserMistake], Awaitable[None]]

log = structlog.get_logger()


async def nobody(mistake: UserMistake) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What a grant opened: nothing if TikTok did not answer, or with what is of no use.

    `granted`: its scopes. `replaces`: the grant that was stored before the reading.
    """

    grant: TokenGrant
    granted: frozenset[str]
    grant_id: UUID
    replaces: UUID | None
    failure: TikTokError | None = None
    user: TikTokUser | None = None
    picture: Picture | None = None

    @property
    def works(self) -> bool:
        """Unless a later consent has ended the grant."""
        return not isinstance(self.failure, AccessTokenInvalid)


class ConnectionService:
    """Obtains the owner's grant, and stores what it opens."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        reader: AccountReader,
        grants: Grants,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        scopes: Collection[str],
        storing: Storing,
        revocations: RevocationService,
        times: SyncTimes,
        clock: Clock,
    ) -> None:
        """`scopes`: those that are asked for."""
        self._times = times
        self._db = db
        self._oauth = oauth
        self._reader = reader
        self._grants = grants
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._scopes = frozenset(scopes)
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
            grant = await self._exchange(consent)
        except UserMistake as mistake:
            await refused(mistake)
            raise
        grant_id = uuid7()

        async def keep() -> Connected:
            try:
                return await self._keep(viewer, consent, grant, grant_id)
            except UserMistake as mistake:
                await refused(mistake)
                raise

        return await self._storing.store(grant_id, keep, patience=PATIENCE_SECONDS, attempt_id=str(consent.attempt_id))

    async def _keep(self, viewer: Viewer, consent: Consent, grant: TokenGrant, grant_id: UUID) -> Connected:
        """May be called again after it was done. Raises as `connect` does."""
        grant = await self._identified(grant)
        if BASIC_SCOPE not in self._granted(grant):
            await self._give_back(grant, grant_id)
            raise ScopeMissing
        if not await self._is_wanted(viewer, consent, grant):
            await self._give_back(grant, grant_id)
            raise WrongTikTokAccount
        while True:  # until nobody came between; each turn more needs one more who did
            if (connected := await self._find_stored(viewer, grant, grant_id)) is not None:
                return connected
            await self._revocations.cancel(grant.open_id)
            reading = await self._read(viewer, grant, grant_id)
            try:
                return await self._store(viewer, consent, reading)
            except Overtaken:
                continue
            except Taken:
                if not await self._is_mine(viewer, grant.open_id):
                    await self._give_back(grant, grant_id)
                    raise ConnectedElsewhere from None

    async def _find_stored(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> Connected | None:
        """By a commit whose outcome was not known."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        if account is None or await self._grants.grant_id(account) != grant_id:
            return None
        return Connected(account=account, reconnected=account.created_at != account.connected_at)

    async def _exchange(self, consent: Consent) -> TokenGrant:
        try:
            return await self._oauth.exchange_code(
                code=consent.code, redirect_uri=consent.redirect_uri, code_verifier=consent.code_verifier
            )
        except InvalidGrant:
            raise AuthorizationCodeInvalid from None
        except (RequestRefused, AccessTokenInvalid) as error:
            if error.code == ACCESS_DENIED:
                raise AuthorizationDenied from error
            # The code has a refusal of its own: all else about the request is this server's.
            log.error("code not exchanged", reason=error.message, tiktok_code=error.code, log_id=error.log_id)  # noqa: TRY400
            raise AppMisconfigured from error
        except UnreadableReply as error:
            raise TikTokUnavailable(retry_after_seconds=DEFAULT_RETRY_SECONDS) from error
        except TikTokError as error:
            raise user_mistake(error) from error

    async def _identified(self, grant: TokenGrant) -> TokenGrant:
        """Asks for the account whose grant it is, if the token reply did not say.

        Without an answer the grant is revoked: it can be stored nowhere. Raises SyncFailed, TikTokUnavailable, …
        """
        if grant.open_id:
            return grant
        failure: TikTokError = UnreadableReply()
        try:
            user = await self._ask(grant, self._granted(grant))
        except TikTokError as error:
            failure = error
        else:
            if user.open_id:
                return replace(grant, open_id=user.open_id)
        await self._revoke(grant)
        raise user_mistake(failure) from failure

    async def _ask(self, grant: TokenGrant, scopes: Collection[str]) -> TikTokUser:
        return await read_granted(lambda accepted: self._reader.read(grant.access_token, accepted), scopes)

    def _granted(self, grant: TokenGrant, earlier: Account | None = None) -> frozenset[str]:
        """A reply that names no scope says nothing new: what is stored holds, or else what was asked for."""
        stored = earlier.granted_scopes if earlier and BASIC_SCOPE in earlier.granted_scopes else self._scopes
        return frozenset(stored) if grant.scopes is None else grant.scopes

    async def _is_wanted(self, viewer: Viewer, consent: Consent, grant: TokenGrant) -> bool:
        if consent.account_id is None:
            return True
        async with self._db.read() as session:
            found = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        return found is not None and found.id == consent.account_id

    async def _give_back(self, grant: TokenGrant, grant_id: UUID) -> None:
        """A grant that is of no use here. TikTok may have ended the account's earlier one for it: whoever has the
        account connected gets it, unless theirs is the later one. If nobody has, it is revoked.
        """
        async with self._db.read() as session:
            connected = await accounts.list_connected_by_open_id(session, grant.open_id)
        for account in connected:
            with suppress(NotFound):  # disconnected meanwhile
                await self._hand_over(account, grant, grant_id)
        if not connected:
            await self._revoke(grant)

    async def _revoke(self, grant: TokenGrant) -> None:
        try:
            await self._oauth.revoke(grant.access_token, policy=FOR_A_USER)
        except TikTokError as error:
            log.warning("grant not given back", reason=error.message, log_id=error.log_id)

    async def _hand_over(self, account: Account, grant: TokenGrant, grant_id: UUID) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        replaces = await self._grants.grant_id(account)
        while replaces != grant_id and await self._works(grant):
            await self._revocations.cancel(grant.open_id)
            with suppress(Overtaken):
                async with self._db.transaction() as session:
                    current = await accounts.get(session, account.viewer_id, account.id, lock=True)
                    await self._owe_nothing(session, grant)
                    await self._grants.store(session, current, grant, grant_id=grant_id, replaces=replaces)
                    changes = {**self._grants.changes(current, grant), **self._revived(current)}
                    await accounts.change(session, account.viewer_id, account.id, **changes)
                    self._publish(session, account, ChangeKind.UPDATED)
                    self._audit.record(session, system, AuditAction.TOKEN_REFRESHED, account_id=account.id)
                return
            replaces = await self._grants.grant_id(account)

    def _revived(self, account: Account) -> dict[str, Any]:
        """An account that was EXPIRED has a grant that works again."""
        if account.status is not AccountStatus.EXPIRED:
            return {}
        return {**health.worked(account, self._clock(), scopes_missing=False), "last_error": None}

    async def _works(self, grant: TokenGrant) -> bool:
        """Still, that is: a later consent may have ended it already. Only TikTok knows which one was the later."""
        try:
            user = await self._reader.read(grant.access_token, self._granted(grant))
            readings.of_account(user, open_id=grant.open_id, union_id=None)
        except (AccessTokenInvalid, WrongAccount):
            return False
        except TikTokError:
            return True
        return True

    async def _read(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> _Reading:
        async with self._db.read() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        replaces = None if earlier is None else await self._grants.grant_id(earlier)
        granted = self._granted(grant, earlier)
        try:
            union_id = None if earlier is None else earlier.union_id
            user = readings.of_account(await self._ask(grant, granted), open_id=grant.open_id, union_id=union_id)
        except TikTokError as error:
            if isinstance(error, ScopeNotGranted):
                granted = granted.difference(FIELDS_OF_SCOPES)
            return _Reading(grant=grant, granted=granted, grant_id=grant_id, replaces=replaces, failure=error)
        accepted = granted.difference(FIELDS_OF_SCOPES) | user.scopes
        picture = await self._avatars.fetch(earlier, user)
        return _Reading(grant=grant, granted=accepted, grant_id=grant_id, replaces=replaces, user=user, picture=picture)

    async def _is_mine(self, viewer: Viewer, open_id: str) -> bool:
        """Now, that is: the viewer may have left it, and another one may have connected it since."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, open_id)
        return account is not None and account.disconnected_at is None

    @again_if_undone
    async def _store(self, viewer: Viewer, consent: Consent, reading: _Reading) -> Connected:
        """An account whose later grant is stored already keeps it. Raises Taken, Overtaken."""
        async with self._db.transaction() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, reading.grant.open_id)
            listed = earlier if earlier and earlier.disconnected_at is None else None
            keeps = listed if not reading.works else None
            account = keeps or await self._write(session, viewer, reading, earlier)
            self._record(session, viewer, account, reconnected=earlier is not None)
            self._publish(session, account, ChangeKind.UPDATED if listed else ChangeKind.CONNECTED)
            if consent.attempt_id is not None:
                outcome = {"connected_account_id": account.id, "reconnected": earlier is not None}
                await connection_attempts.end(session, viewer.id, consent.attempt_id, **outcome)
        return Connected(account=account, reconnected=earlier is not None)

    async def _write(self, session: Session, viewer: Viewer, reading: _Reading, earlier: Account | None) -> Account:
        values = self._columns(reading, earlier)
        if earlier is None:
            account = await accounts.add(session, viewer.id, open_id=reading.grant.open_id, **values)
        else:
            account = await accounts.reconnect(session, viewer.id, earlier.id, **values)
        await self._owe_nothing(session, reading.grant)
        await self._grants.store(session, account, reading.grant, grant_id=reading.grant_id, replaces=reading.replaces)
        if pictured := self._avatars.store(session, self._avatars.copy_of(account, reading.picture)):
            account = await accounts.change(session, viewer.id, account.id, **pictured)
        if reading.user is not None and readings.has_counters(account):
            snapshots.add(session, account, values["last_synced_at"])
        return account

    async def _owe_nothing(self, session: Session, grant: TokenGrant) -> None:
        """Raises Overtaken: somebody is just about to revoke an earlier grant, and this one may end with it."""
        if not await revocations.cancel(session, grant.open_id):
            raise Overtaken

    def _publish(self, session: Session, account: Account, kind: ChangeKind) -> None:
        event = AccountChanged(account_id=account.id, kind=kind)
        self._notifications.publish(session, account.viewer_id, event)

    def _columns(self, reading: _Reading, earlier: Account | None) -> dict[str, Any]:
        now, grant, granted = self._clock(), reading.grant, reading.granted
        name = earlier.display_name if earlier else readings.placeholder(grant.open_id)
        unread = {} if earlier else accounts.names(None, name)
        hidden = readings.withheld(name, granted)
        read = readings.columns(reading.user, earlier, granted, now) if reading.user else {**unread, **hidden}
        begins = {"granted_scopes": sorted(granted), "connected_at": now, "reauthorize_by": _still_ahead(earlier, now)}
        soon = None if reading.user else now + health.retry_in(1)  # the first sync reads it
        planned = {"next_sync_at": self._times.after_failure(grant.open_id, now, soon)}
        return {**read, **begins, **self._grants.lifetimes(grant), **self._health(reading, now), **planned}

    def _health(self, reading: _Reading, now: datetime) -> dict[str, Any]:
        """What the first sync will read is no trouble yet; another account's reading is."""
        if isinstance(reading.failure, WrongAccount):
            return {**health.unread(now), "last_error": user_mistake(reading.failure).message}
        missing = bool(self._scopes.difference(reading.granted))
        return {**health.worked(None, now, scopes_missing=missing), "last_error": None}

    def _record(self, session: Session, viewer: Viewer, account: Account, *, reconnected: bool) -> None:
        action = AuditAction.ACCOUNT_RECONNECTED if reconnected else AuditAction.ACCOUNT_CONNECTED
        scopes = Detail(name="grantedScopes", value=",".join(account.granted_scopes))
        self._audit.record(session, viewer, action, account_id=account.id, details=[scopes])


def _still_ahead(earlier: Account | None, now: datetime) -> datetime | None:
    """When the user had to reconnect, for a new grant that does not say."""
    stored = earlier.reauthorize_by if earlier else None
    return stored if stored and stored > now else None
