"""Authorizations that TikTok ended: their accounts become INACTIVE and lose their tokens."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import accounts, token_pairs
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import Account, AccountStatus, AuditAction, AuditActor
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import NotFound
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.grant_checks import GrantChecks
from tiktok_accounts_gql.services.health import HEALTH_AFTER, HealthEvent
from tiktok_accounts_gql.services.viewer import Viewer

CLOCK_SKEW = timedelta(minutes=1)  # between TikTok's clock and ours, and the time that a connection takes

# Source: TikTok for Developers, "Webhooks: Event Types", the reasons of `authorization.removed`.
REASONS: dict[int, tuple[str, HealthEvent]] = {
    0: ("unknown", HealthEvent.USER_REVOKED),
    1: ("The user withdrew it in TikTok.", HealthEvent.USER_REVOKED),
    2: ("The TikTok account was deleted.", HealthEvent.ACCOUNT_CLOSED),
    3: ("The age on the TikTok account changed.", HealthEvent.ACCOUNT_CLOSED),
    4: ("The TikTok account was banned.", HealthEvent.ACCOUNT_CLOSED),
    5: ("It was revoked for this app.", HealthEvent.USER_REVOKED),
}
LAST_ERRORS = {
    HealthEvent.USER_REVOKED: "The authorization was withdrawn at TikTok. Connect the account again.",
    HealthEvent.ACCOUNT_CLOSED: "TikTok deleted, banned or restricted the account.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalService:
    """Applies removals that TikTok reported."""

    db: Database
    audit: AuditService
    notifications: Notifications
    checks: GrantChecks
    clock: Clock

    async def remove(self, open_id: str, reason: int, occurred_at: datetime | None) -> None:
        """Mark this TikTok account INACTIVE for every viewer who has connected it, and erase its tokens.

        `occurred_at` is None if the time is unknown. Raises TikTokError if TikTok has to be asked and does not answer.
        """
        async with self.db.read() as session:
            connected = await accounts.list_connected_by_open_id(session, open_id)
        for account in connected:
            with suppress(NotFound):  # disconnected since it was listed
                await self._remove_if_ended(account, reason, occurred_at)

    async def _remove_if_ended(self, account: Account, reason: int, occurred_at: datetime | None) -> None:
        """Repeat the check if the account was connected again meanwhile: the answer was about the earlier connection."""
        while await self._has_ended(account, occurred_at) and not await self._remove(account, reason):
            async with self.db.read() as session:
                account = await accounts.get(session, account.viewer_id, account.id)

    async def _has_ended(self, account: Account, occurred_at: datetime | None) -> bool:
        """Tell whether the removal is of the current authorization, not of an earlier one: it may arrive days later.

        Times of whole seconds by two clocks do not always tell which came first. Then TikTok is asked.
        """
        if occurred_at is not None:
            if occurred_at > account.connected_at:
                return True
            if occurred_at < account.connected_at - CLOCK_SKEW:
                return False
        return not await self.checks.is_valid(account)

    @retry_on_deadlock
    async def _remove(self, account: Account, reason: int) -> bool:
        """Return False, and change nothing, if the account was connected again since it was read."""
        now = self.clock()
        description, outcome = REASONS.get(reason, REASONS[0])
        tiktok = Viewer(id=account.viewer_id, actor=AuditActor.TIKTOK)
        async with self.db.transaction() as session:
            current = await accounts.get(session, account.viewer_id, account.id, lock=True)
            if current.connected_at != account.connected_at:
                return False
            if current.status is AccountStatus.INACTIVE and current.health_reason is HEALTH_AFTER[outcome].reason:
                return True  # an earlier removal did this
            values: dict[str, Any] = {
                **health.columns_after_removal(current, outcome, now),
                "last_error": LAST_ERRORS[outcome],
                "token_expires_at": None,
            }
            await accounts.change(session, account.viewer_id, account.id, updated_at=now, **values)
            await token_pairs.erase(session, account.viewer_id, account.id)
            event = AccountChanged(account_id=account.id, kind=ChangeKind.UPDATED)
            self.notifications.publish(session, account.viewer_id, event)
            details = [Detail(name="reason", value=description)]
            action = AuditAction.AUTHORIZATION_REMOVED
            self.audit.record(session, tiktok, action, account_id=account.id, details=details)
        return True
