"""Connecting accounts: from an authorization code to a stored account."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, connection_attempts, snapshots
from tiktok_accounts_gql.db.accounts import Taken
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction, AuditActor
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import (
    AuthorizationCodeInvalid,
    ConnectedElsewhere,
    NotFound,
    ScopeMissing,
    WrongTikTokAccount,
)
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health, readings
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grants import Grants, Overtaken
from tiktok_accounts_gql.services.reading import AccountReader
from tiktok_accounts_gql.services.sync_times import SyncTimes
from tiktok_accounts_gql.services.tiktok_failures import user_mistake
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.client import TikTokClient
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, InvalidGrant, TikTokError
from tiktok_accounts_gql.tiktok.pictures import Picture
from tiktok_accounts_gql.tiktok.values import BASIC_SCOPE, TikTokUser, TokenGrant

log = structlog.get_logger()


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
    """What a grant opened: nothing if TikTok did not answer.

    `replaces`: the grant that was stored before the reading. `works`: unless a later consent has ended the new one.
    """

    grant: TokenGrant
    replaces: UUID | None
    works: bool = True
    user: TikTokUser | None = None
    picture: Picture | None = None


class ConnectionService:
    """Obtains the owner's grant, and stores what it opens."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        tiktok: TikTokClient,
        reader: AccountReader,
        grants: Grants,
        audit: AuditService,
        notifications: Notifications,
        avatars: AvatarService,
        scopes: Collection[str],
        times: SyncTimes,
        clock: Clock,
    ) -> None:
        """`scopes`: those that are asked for."""
        self._times = times
        self._db = db
        self._tiktok = tiktok
        self._reader = reader
        self._grants = grants
        self._audit = audit
        self._notifications = notifications
        self._avatars = avatars
        self._scopes = frozenset(scopes)
        self._clock = clock

    async def connect(self, viewer: Viewer, consent: Consent) -> Connected:
        """Exchanges the code, reads the account and stores it; one that was connected before comes back as it was.

        An account that cannot be read for now is connected all the same: its first sync will read it.
        Raises AuthorizationCodeInvalid, WrongTikTokAccount, ConnectedElsewhere, ScopeMissing, TikTokRateLimited,
        TikTokUnavailable, AppMisconfigured.
        """
        grant = await self._exchange(consent)
        if BASIC_SCOPE not in self._granted(grant):
            await self._give_back(grant)
            raise ScopeMissing
        if not await self._is_wanted(viewer, consent, grant):
            await self._give_back(grant)
            raise WrongTikTokAccount
        while True:  # until nobody came between; each turn more needs one more who did
            reading = await self._read(viewer, grant)
            try:
                return await self._store(viewer, consent, reading)
            except Overtaken:
                continue
            except Taken:
                if not await self._is_mine(viewer, grant.open_id):
                    await self._give_back(grant)
                    raise ConnectedElsewhere from None

    async def _exchange(self, consent: Consent) -> TokenGrant:
        try:
            return await self._tiktok.exchange_code(
                code=consent.code, redirect_uri=consent.redirect_uri, code_verifier=consent.code_verifier
            )
        except InvalidGrant:
            raise AuthorizationCodeInvalid from None
        except TikTokError as error:
            raise user_mistake(error) from error

    def _granted(self, grant: TokenGrant) -> frozenset[str]:
        return self._scopes if grant.scopes is None else grant.scopes

    async def _is_wanted(self, viewer: Viewer, consent: Consent, grant: TokenGrant) -> bool:
        if consent.account_id is None:
            return True
        async with self._db.read() as session:
            found = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        return found is not None and found.id == consent.account_id

    async def _give_back(self, grant: TokenGrant) -> None:
        """A grant that is of no use here. TikTok may have ended the account's earlier one for it: whoever has the
        account connected gets it, unless theirs is the later one. If nobody has, it is revoked.
        """
        async with self._db.read() as session:
            connected = await accounts.list_connected_by_open_id(session, grant.open_id)
        for account in connected:
            with suppress(NotFound):  # disconnected meanwhile
                await self._hand_over(account, grant)
        if not connected:
            try:
                await self._tiktok.revoke(grant.access_token)
            except TikTokError as error:
                log.warning("grant not given back", reason=error.message, log_id=error.log_id)

    async def _hand_over(self, account: Account, grant: TokenGrant) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        replaces = await self._grants.grant_id(account)
        while await self._works(grant):
            with suppress(Overtaken):
                async with self._db.transaction() as session:
                    current = await accounts.get(session, account.viewer_id, account.id, lock=True)
                    await self._grants.store(session, current, grant, replaces=replaces)
                    await accounts.change(session, account.viewer_id, account.id, **self._grants.lifetimes(grant))
                    self._publish(session, account, ChangeKind.UPDATED)
                    self._audit.record(session, system, AuditAction.TOKEN_REFRESHED, account_id=account.id)
                return
            replaces = await self._grants.grant_id(account)

    async def _works(self, grant: TokenGrant) -> bool:
        """Still, that is: a later consent may have ended it already. Only TikTok knows which one was the later."""
        try:
            await self._tiktok.user_info(grant.access_token, scopes=self._granted(grant))
        except AccessTokenInvalid:
            return False
        except TikTokError:
            return True
        return True

    async def _read(self, viewer: Viewer, grant: TokenGrant) -> _Reading:
        async with self._db.read() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, grant.open_id)
        replaces = None if earlier is None else await self._grants.grant_id(earlier)
        try:
            user = await self._reader.read(grant.access_token, self._granted(grant))
        except TikTokError as error:
            return _Reading(grant=grant, replaces=replaces, works=not isinstance(error, AccessTokenInvalid))
        picture = await self._avatars.fetch(earlier, user)
        return _Reading(grant=grant, replaces=replaces, user=user, picture=picture)

    async def _is_mine(self, viewer: Viewer, open_id: str) -> bool:
        """Now, that is: the viewer may have left it, and another one may have connected it since."""
        async with self._db.read() as session:
            account = await accounts.find_by_open_id(session, viewer.id, open_id)
        return account is not None and account.disconnected_at is None

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
        await self._grants.store(session, account, reading.grant, replaces=reading.replaces)
        if pictured := self._avatars.store(session, self._avatars.copy_of(account, reading.picture)):
            account = await accounts.change(session, viewer.id, account.id, **pictured)
        if reading.user is not None:
            snapshots.add(session, account, values["last_synced_at"])
        return account

    def _publish(self, session: Session, account: Account, kind: ChangeKind) -> None:
        event = AccountChanged(account_id=account.id, kind=kind)
        self._notifications.publish(session, account.viewer_id, event)

    def _columns(self, reading: _Reading, earlier: Account | None) -> dict[str, Any]:
        now = self._clock()
        grant = reading.grant
        names = {} if earlier else accounts.names(None, readings.placeholder(grant.open_id))
        read = readings.columns(reading.user, earlier, now) if reading.user else names
        granted = self._granted(grant)
        well = health.worked(None, now, scopes_missing=bool(self._scopes - granted))
        scopes = {"granted_scopes": sorted(granted), "last_error": None, "connected_at": now}
        soon = None if reading.user else now + health.retry_in(1)  # the first sync reads it
        planned = {"next_sync_at": self._times.after_failure(grant.open_id, now, soon)}
        return {**read, **self._grants.lifetimes(grant), **well, **scopes, **planned}

    def _record(self, session: Session, viewer: Viewer, account: Account, *, reconnected: bool) -> None:
        action = AuditAction.ACCOUNT_RECONNECTED if reconnected else AuditAction.ACCOUNT_CONNECTED
        scopes = Detail(name="grantedScopes", value=",".join(account.granted_scopes))
        self._audit.record(session, viewer, action, account_id=account.id, details=[scopes])
