"""Reads connected accounts, and disconnects them."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import account_queries, account_totals, accounts, avatars, token_pairs
from tiktok_accounts_gql.db.account_queries import LOAD_ALL, LoadHints
from tiktok_accounts_gql.db.account_totals import AccountsSummary
from tiktok_accounts_gql.db.accounts import AccountFilter, AccountOrderField
from tiktok_accounts_gql.db.database import Database, Session
from tiktok_accounts_gql.db.models import Account, AuditAction
from tiktok_accounts_gql.db.notifications import Notifications
from tiktok_accounts_gql.db.retry import retry_on_deadlock
from tiktok_accounts_gql.errors import TokensUnreadable
from tiktok_accounts_gql.events import AccountChanged, ChangeKind
from tiktok_accounts_gql.pagination import Page, PageRequest
from tiktok_accounts_gql.services.audit import AuditService, Detail
from tiktok_accounts_gql.services.idempotency import IdempotencyService, IdempotentCall
from tiktok_accounts_gql.services.paging import build_page, decode_bounds
from tiktok_accounts_gql.services.revocations import RevocationService
from tiktok_accounts_gql.services.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrder:
    """The order of a list; by default the newest account comes first."""

    field: AccountOrderField = AccountOrderField.CREATED_AT
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage(Page[Account]):
    """A page of accounts. It keeps its filter, so that `totalCount` can be counted when it is read."""

    filter: AccountFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectedAccount:
    disconnected_account_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountService:
    """What a viewer does with connected accounts."""

    db: Database
    audit: AuditService
    notifications: Notifications
    idempotency: IdempotencyService
    revocations: RevocationService
    clock: Clock

    async def list(
        self,
        viewer: Viewer,
        page: PageRequest,
        filter: AccountFilter,
        order: AccountOrder,
        hints: LoadHints = LOAD_ALL,
    ) -> AccountPage:
        """Return one page, with the attributes that `hints` ask for. Raises BadUserInput for cursors of another list."""
        ordering = accounts.build_ordering(order.field, descending=order.descending)
        bounds = decode_bounds(ordering, page)
        rows = await account_queries.fetch_page(self.db, viewer.id, filter, ordering, page, bounds, hints)
        result = build_page(ordering, rows)
        count = Detail(name="count", value=len(result.edges))
        await self.audit.record_read(viewer, AuditAction.ACCOUNTS_LISTED, count)
        return AccountPage(edges=result.edges, page_info=result.page_info, total=result.total, filter=filter)

    async def count_all(self, viewer: Viewer, page: AccountPage) -> int:
        """Count the accounts of all pages of this page's list, unless they were counted with it."""
        return await self.count(viewer, page.filter) if page.total is None else page.total

    async def count(self, viewer: Viewer, filter: AccountFilter) -> int:
        """Count accounts. Records no event: it is part of a list, whose event covers it."""
        return await account_queries.count(self.db, viewer.id, filter)

    async def summarize(self, viewer: Viewer) -> AccountsSummary:
        summary = await account_totals.summarize(self.db, viewer.id)
        await self.audit.record_read(viewer, AuditAction.SUMMARY_READ)
        return summary

    async def read(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, Account]:
        """Return those of these accounts that the viewer has connected, and record an event for each."""
        rows = await self.find(viewer, ids)
        await self.audit.record_account_reads(viewer, rows, len(set(ids)))
        return rows

    async def find(self, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, Account]:
        """Return accounts as `read` does, without an event: for parts of an answer that has an event of its own."""
        return {account.id: account for account in await account_queries.list_by_ids(self.db, viewer.id, set(ids))}

    async def disconnect(self, viewer: Viewer, account_id: UUID, idempotency_key: str | None) -> DisconnectedAccount:
        """Disconnect the account at once; the grant is revoked at TikTok in the background.

        The pending revocation commits with the disconnection, so that neither a crash nor an outage of TikTok loses it.
        Raises NotFound, InvalidInput, IdempotencyKeyReused.
        """
        if await self._disconnect_once(viewer, account_id, idempotency_key):
            self.revocations.process_soon()
        return DisconnectedAccount(disconnected_account_id=account_id)

    @retry_on_deadlock
    async def _disconnect_once(self, viewer: Viewer, account_id: UUID, idempotency_key: str | None) -> bool:
        """Disconnect the account, unless this is a repeated call; tell whether a revocation is pending."""
        call = IdempotentCall(operation="disconnectAccount", input=str(account_id), answer=str(account_id))
        async with self.db.transaction() as session:
            if await self.idempotency.find_earlier_answer(session, viewer, idempotency_key, call) is None:
                return await self._disconnect(session, viewer, account_id)
            self.audit.record_repetition(session, viewer, call.operation, account_id=account_id)
        return False

    async def _disconnect(self, session: Session, viewer: Viewer, account_id: UUID) -> bool:
        """Disconnect the account and enqueue its revocation; tell whether there is one. Raises NotFound."""
        now = self.clock()
        account = await accounts.get(session, viewer.id, account_id, lock=True)
        is_pending, details = False, []
        try:
            is_pending = await self.revocations.enqueue(session, account)
        except TokensUnreadable as error:
            details = [Detail(name="notRevoked", value=error.message)]
        await accounts.change(
            session,
            viewer.id,
            account_id,
            disconnected_at=now,
            updated_at=now,
            token_expires_at=None,
            reauthorize_by=None,
            avatar_hash=None,
        )
        await token_pairs.erase(session, viewer.id, account_id)
        await avatars.erase(session, viewer.id, account_id)
        event = AccountChanged(account_id=account_id, kind=ChangeKind.DISCONNECTED)
        self.notifications.publish(session, viewer.id, event)
        self.audit.record(session, viewer, AuditAction.ACCOUNT_DISCONNECTED, account_id=account_id, details=details)
        return is_pending
