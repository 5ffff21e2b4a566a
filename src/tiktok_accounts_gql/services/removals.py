"""Authorizations that TikTok ended."""

from contextlib import suppress
from datetime import datetime, timedelta

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.again import again_if_undone
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.health import HEALTH_AFTER, HealthEvent
from tiktok_accounts_gql.services.viewer import Viewer

CLOCK_SKEW = timedelta(minutes=1)  # between TikTok's clock and ours, and how long a connection takes

# TikTok's reasons of `authorization.removed` ("Webhooks: Event Types").
REASONS: dict[int, tuple[str, HealthEvent]] = {
    0: ("unknown", HealthEvent.USER_REVOKED),
    1: ("The user withdrew it in TikTok.", HealthEvent.USER_REVOKED),
    2: ("The TikTok account was deleted.", HealthEvent.ACCOUNT_CLOSED),
    3: ("The age on the TikTok account changed.", HealthEvent.ACCOUNT_CLOSED),
    4: ("The TikTok account was banned.", HealthEvent.ACCOUNT_CLOSED),
    5: ("It was revoked for this app.", HealthEvent.USER_REVOKED),
}
SENTENCES = {
    HealthEvent.USER_REVOKED: "The authorization was withdrawn at TikTok. Connect the account again.",
    HealthEvent.ACCOUNT_CLOSED: "TikTok deleted, banned or restricted the account.",
}


class RemovalService:
    """Does here what TikTok has done already."""

    def __init__(
        self, *, db: Database, audit: AuditService, notifications: Notifications, checks: GrantChecks, clock: Clock
    ) -> None:
        self._db = db
        self._checks = checks
        self._audit = audit
        self._notifications = notifications
        self._clock = clock

    async def remove(self, open_id: str, reason: int, occurred_at: datetime | None) -> None:
        """Whoever has connected this account: it is INACTIVE from now on and keeps no tokens.

        `occurred_at`: None if nobody knows. Raises TikTokError if TikTok had to be asked and did not answer.
        """
        async with self._db.read() as session:
            affected = await accounts.list_connected_by_open_id(session, open_id)
        for account in affected:
            with suppress(NotFound):  # disconnected meanwhile
                await self._remove_if_ended(account, reason, occurred_at)

    async def _remove_if_ended(self, account: Account, reason: int, occurred_at: datetime | None) -> None:
        """What was found out is of one connection: if the account was connected again since, it is found out again."""
        while await self._has_ended(account, occurred_at) and not await self._remove(account, reason):
            async with self._db.read() as session:
                account = await accounts.get(session, account.viewer_id, account.id)

    async def _has_ended(self, account: Account, occurred_at: datetime | None) -> bool:
        """A removal from before the last connect is of an earlier authorization: TikTok may tell us days later.

        Whole seconds do not tell what came first within one, nor clocks that differ: then TikTok is asked.
        """
        if occurred_at is not None:
            if occurred_at > account.connected_at:
                return True
            if occurred_at < account.connected_at - CLOCK_SKEW:
                return False
        return not await self._checks.is_honoured(account)

    @again_if_undone
    async def _remove(self, account: Account, reason: int) -> bool:
        """False if the account was connected again meanwhile."""
        now = self._clock()
        says, outcome = REASONS.get(reason, REASONS[0])
        tiktok = Viewer(id=account.viewer_id, actor=AuditActor.TIKTOK)
        async with self._db.transaction() as session:
            current = await accounts.get(session, account.viewer_id, account.id, lock=True)
            if current.connected_at != account.connected_at:
                return False
            if current.status is AccountStatus.INACTIVE and current.health_reason is HEALTH_AFTER[outcome].reason:
                return True  # known already
            changes = {
                **health.columns_after_removal(current, outcome, now),
                "last_error": SENTENCES[outcome],
                "token_expires_at": None,
            }
            await accounts.change(session, account.viewer_id, account.id, updated_at=now, **changes)
            await token_pairs.erase(session, account.viewer_id, account.id)
            event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
            self._notifications.publish(session, account.viewer_id, event)
            details = [Detail(name="reason", value=says)]
            action = AuditAction.AUTHORIZATION_REMOVED
            self._audit.record(session, tiktok, action, account_id=account.id, details=details)
        return True
