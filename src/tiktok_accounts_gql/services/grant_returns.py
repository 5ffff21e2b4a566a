"""Grants that are of no use to who brought them: handed over to whoever has the account, or revoked."""

from contextlib import suppress
from typing import Any
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
from tiktok_accounts_gql.services.grants import Grants, Overtaken
from tiktok_accounts_gql.services.oauth_calls import OAuthCalls
from tiktok_accounts_gql.services.rate_limiter import CallPolicy
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.sync import profile_mapping
from tiktok_accounts_gql.services.sync.tiktok_gateway import RateLimitedReader
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.tiktok.errors import AccessTokenInvalid, TikTokError, WrongAccount
from tiktok_accounts_gql.tiktok.values import TokenGrant

log = structlog.get_logger()


class GrantReturns:
    """Gives grants back."""

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        db: Database,
        oauth: OAuthCalls,
        reader: RateLimitedReader,
        grants: Grants,
        audit: AuditService,
        notifications: Notifications,
        revocations: RevocationService,
        clock: Clock,
    ) -> None:
        self._db = db
        self._oauth = oauth
        self._reader = reader
        self._grants = grants
        self._audit = audit
        self._notifications = notifications
        self._revocations = revocations
        self._clock = clock

    async def give_back(self, viewer: Viewer, grant: TokenGrant, grant_id: UUID) -> None:
        """A grant that is of no use here. TikTok may have ended the account's earlier one for it: whoever has the
        account connected gets it, unless theirs is the later one. If nobody has, it is revoked.
        """
        async with self._db.read() as session:
            connected = await accounts.list_connected_by_open_id(session, grant.open_id)
        for account in connected:
            with suppress(NotFound):  # disconnected meanwhile
                await self._hand_over(viewer, account, grant, grant_id)
        if not connected:
            await self.revoke(viewer, grant)

    async def revoke(self, viewer: Viewer, grant: TokenGrant) -> None:
        try:
            await self._oauth.revoke(grant.access_token, policy=CallPolicy(viewer_id=viewer.id))
        except TikTokError as error:
            log.warning("grant not given back", reason=error.message, log_id=error.log_id)

    async def _hand_over(self, viewer: Viewer, account: Account, grant: TokenGrant, grant_id: UUID) -> None:
        system = Viewer(id=account.viewer_id, actor=AuditActor.SYSTEM)
        replaces = await self._grants.grant_id(account)
        while replaces != grant_id and await self._works(viewer, grant):
            await self._revocations.cancel(grant.open_id)
            with suppress(Overtaken):
                async with self._db.transaction() as session:
                    current = await accounts.get(session, account.viewer_id, account.id, lock=True)
                    await self._grants.store(session, current, grant, grant_id=grant_id, replaces=replaces)
                    changes = {**self._grants.changes(current, grant), **self._revived(current)}
                    await accounts.change(session, account.viewer_id, account.id, **changes)
                    changed = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
                    self._notifications.publish(session, account.viewer_id, changed)
                    self._audit.record(session, system, AuditAction.TOKEN_REFRESHED, account_id=account.id)
                return
            replaces = await self._grants.grant_id(account)

    def _revived(self, account: Account) -> dict[str, Any]:
        """An account that was EXPIRED has a grant that works again."""
        if account.status is not AccountStatus.EXPIRED:
            return {}
        return {**health.columns_after_success(account, self._clock(), scopes_missing=False), "last_error": None}

    async def _works(self, viewer: Viewer, grant: TokenGrant) -> bool:
        """Still, that is: a later consent may have ended it already. Only TikTok knows which one was the later."""
        try:
            policy = CallPolicy(viewer_id=viewer.id)
            user = await self._reader.read(grant.access_token, self._grants.granted(grant), policy=policy)
            profile_mapping.verify_account(user, open_id=grant.open_id, union_id=None)
        except (AccessTokenInvalid, WrongAccount):
            return False
        except TikTokError:
            return True
        return True
