"""Authorizations that TikTok ended."""

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.viewer import Viewer

WITHDRAWN = "The authorization was withdrawn at TikTok. Connect the account again."


class RemovalService:
    """Does here what TikTok has done already."""

    def __init__(self, *, db: Database, audit: AuditService, clock: Clock) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock

    async def remove(self, open_id: str, reason: str) -> None:
        """Whoever has connected this account: it is INACTIVE from now on and keeps no tokens."""
        async with self._db.read() as session:
            affected = await accounts.list_connected_by_open_id(session, open_id)
        for account in affected:
            await self._remove(account, reason)

    async def _remove(self, account: Account, reason: str) -> None:
        changes = {"status": AccountStatus.INACTIVE, "last_error": WITHDRAWN, "token_expires_at": None}
        tiktok = Viewer(id=account.viewer_id, actor=AuditActor.TIKTOK)
        async with self._db.transaction() as session:
            await accounts.change(session, account.viewer_id, account.id, updated_at=self._clock(), **changes)
            await token_pairs.erase(session, account.viewer_id, account.id)
            details = [Detail(name="reason", value=reason)]
            action = AuditAction.AUTHORIZATION_REMOVED
            await self._audit.record(session, tiktok, action, account_id=account.id, details=details)
