"""Stores connected accounts: the account, its grant, its picture and its first snapshot in one transaction."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, connection_attempts, snapshots
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.avatars import AvatarService
from tiktok_accounts_gql.services.grant_readings import GrantReading
from tiktok_accounts_gql.services.grants import Grants
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.sync_times import SyncTimes
from tiktok_accounts_gql.services.tiktok_failures import to_operation_error
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import WrongAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedAccount:
    account: Account
    reconnected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionWriter:
    """Writes what was read by a new grant."""

    db: Database
    grants: Grants
    audit: AuditService
    notifications: Notifications
    avatars: AvatarService
    times: SyncTimes
    clock: Clock

    @retry_on_deadlock
    async def store(self, viewer: Viewer, attempt_id: UUID | None, reading: GrantReading) -> ConnectedAccount:
        """Store the account as the outcome of the attempt; if the grant has ended, a connected account stays as it is.

        Raises AccountTaken if another viewer has connected the account, and GrantConflict.
        """
        async with self.db.transaction() as session:
            earlier = await accounts.find_by_open_id(session, viewer.id, reading.grant.open_id)
            connected = earlier if earlier and earlier.disconnected_at is None else None
            if connected is not None and not reading.is_valid:
                account = connected
            else:
                account = await self._write(session, viewer, reading, earlier)
            is_reconnection = earlier is not None
            action = AuditAction.ACCOUNT_RECONNECTED if is_reconnection else AuditAction.ACCOUNT_CONNECTED
            scopes = Detail(name="grantedScopes", value=",".join(account.granted_scopes))
            self.audit.record(session, viewer, action, account_id=account.id, details=[scopes])
            kind = ChangeKind.UPDATED if connected else ChangeKind.CONNECTED
            self.notifications.publish(session, viewer.id, AccountChanged(account_id=account.id, kind=kind))
            if attempt_id is not None:
                await connection_attempts.finish(
                    session, viewer.id, attempt_id, connected_account_id=account.id, reconnected=is_reconnection
                )
        return ConnectedAccount(account=account, reconnected=is_reconnection)

    async def _write(self, session: Session, viewer: Viewer, reading: GrantReading, earlier: Account | None) -> Account:
        values = self._build_columns(reading, earlier)
        if earlier is None:
            account = await accounts.add(session, viewer.id, open_id=reading.grant.open_id, **values)
        else:
            account = await accounts.reconnect(session, viewer.id, earlier.id, **values)
        await self.grants.store(
            session, account, reading.grant, grant_id=reading.grant_id, expected_grant_id=reading.earlier_grant_id
        )
        avatar = self.avatars.build_avatar(account, reading.picture)
        if avatar_columns := self.avatars.store(session, avatar):
            account = await accounts.change(session, viewer.id, account.id, **avatar_columns)
        if reading.user is not None and profile_mapping.has_counters(account):
            snapshots.add(session, account, values["last_synced_at"])
        return account

    def _build_columns(self, reading: GrantReading, earlier: Account | None) -> dict[str, Any]:
        """Build the account's columns. One that could not be read is healthy until its first sync reads it."""
        now, open_id, scopes = self.clock(), reading.grant.open_id, reading.granted_scopes
        if reading.user is not None:
            profile, first_retry_at = profile_mapping.to_columns(reading.user, earlier, scopes, now), None
        else:
            name = earlier.display_name if earlier else profile_mapping.to_placeholder_name(open_id)
            names = {} if earlier else accounts.name_columns(None, name)
            profile = {**names, **profile_mapping.to_hidden_columns(name, scopes)}
            first_retry_at = now + health.retry_in(1)
        if isinstance(reading.failure, WrongAccount):
            health_columns = health.columns_after_unread_profile(now)
            last_error = to_operation_error(reading.failure).message
        else:
            health_columns = health.columns_after_success(
                None, now, scopes_missing=self.grants.has_missing_scopes(scopes)
            )
            last_error = None
        deadline = earlier.reauthorize_by if earlier else None
        return {
            **profile,
            "granted_scopes": sorted(scopes),
            "connected_at": now,
            "reauthorize_by": deadline if deadline and deadline > now else None,
            **self.grants.expiry_columns(reading.grant),  # it replaces `reauthorize_by` if the reply has one
            **health_columns,
            "last_error": last_error,
            "next_sync_at": self.times.after_failure(open_id, now, first_retry_at),
        }
