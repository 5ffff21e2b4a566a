"""Disposes of grants of rejected callbacks: they go to the viewers who have the account, or are revoked at TikTok."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService
from tiktok_accounts_gql.services.grants import GrantConflict, Grants
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import CallPolicy
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, TikTokError, WrongAccount
from tiktok_accounts_gql.tiktok.values import TokenGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedGrants:
    """Hands rejected grants over to connected accounts, or revokes them."""

    db: Database
    oauth: OAuthCalls
    reader: RateLimitedReader
    grants: Grants
    audit: AuditService
    notifications: Notifications
    revocations: RevocationService
    clock: Clock

    async def dispose(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> None:
        """Store the grant for the accounts that are connected with its `open_id`; without any, revoke it.

        TikTok may have ended the stored grant of such an account for this one, which is then the only one that works.
        Revoking it instead would end the account's authorization, too.
        """
        async with self.db.read() as session:
            connected = await accounts.list_connected_by_open_id(session, grant.open_id)
        for account in connected:
            with suppress(NotFound):  # disconnected since it was listed
                await self._hand_over(viewer, account, grant, grant_id)
        if not connected:
            await self.revoke(viewer, grant)

    async def revoke(self, viewer: Viewer, grant: TokenGrant) -> None:
        """Revoke the grant at TikTok. A failure is logged: nothing of the grant is stored for another try."""
        try:
            await self.oauth.revoke(grant.access_token, policy=CallPolicy(viewer_id=viewer.id))
        except TikTokError as error:
            log.warning("rejected grant not revoked", reason=error.message, log_id=error.log_id)

    async def _hand_over(self, viewer: Viewer, account: Account, grant: TokenGrant, grant_id: UUID) -> None:
        """Store the grant for the account, unless the stored one is later. Raises NotFound."""
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        stored_grant_id = await self.grants.find_grant_id(account)
        while stored_grant_id != grant_id and await self._is_valid(viewer, grant):
            await self.revocations.cancel(grant.open_id)
            with suppress(GrantConflict):
                async with self.db.transaction() as session:
                    current = await accounts.get(session, account.viewer_id, account.id, lock=True)
                    await self.grants.store(
                        session, current, grant, grant_id=grant_id, expected_grant_id=stored_grant_id
                    )
                    values = self.grants.refresh_columns(current, grant)
                    if current.status is AccountStatus.EXPIRED:
                        working = health.columns_after_success(current, self.clock(), scopes_missing=False)
                        values = {**values, **working, "last_error": None}
                    await accounts.change(session, account.viewer_id, account.id, **values)
                    event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
                    self.notifications.publish(session, account.viewer_id, event)
                    self.audit.record(session, system, AuditAction.TOKEN_REFRESHED, account_id=account.id)
                return
            stored_grant_id = await self.grants.find_grant_id(account)

    async def _is_valid(self, viewer: Viewer, grant: TokenGrant) -> bool:
        """Ask TikTok whether the grant still works: a later consent may have ended it. True if TikTok does not answer."""
        try:
            policy = CallPolicy(viewer_id=viewer.id)
            user = await self.reader.read(grant.access_token, self.grants.granted_scopes(grant), policy=policy)
            profile_mapping.verify_account(user, open_id=grant.open_id, union_id=None)
        except (AccessTokenInvalid, WrongAccount):
            return False
        except TikTokError:
            return True
        return True
